"""Node and PHP: the project's own files, or a copy where packages are missing or sources have to be compiled."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from fnkit.bundler.dependencies.node_project import MANIFEST, read_manifest
from fnkit.bundler.languages.typescript import script_files
from fnkit.bundler.model import BundleProgress
from fnkit.bundler.target import BundleTarget
from fnkit.environments.compiled import StagedBuild
from fnkit.environments.model import EnvironmentRequest, HandlerEnvironment
from fnkit.environments.run_step import run_step
from fnkit.environments.staging import stage_function, staging
from fnkit.errors import InvokeError
from fnkit.toolchains.composer import install_step
from fnkit.worker.interpreters import INTERPRETERS

_PACKAGES: Final = "node_modules"
_COMPOSER_MANIFEST: Final = "composer.json"
_VENDOR: Final = "vendor"


def prepare_node(request: EnvironmentRequest) -> HandlerEnvironment:
    """Return the environment of a Node function.

    The project's own files run if they can: the handler is a script, and its packages are in ``node_modules`` or
    there are none. Otherwise a copy runs, with the packages of the lock file and compiled TypeScript.

    Raises:
        PlatformError: ``no-toolchain``.
        BundleError: The function cannot be bundled.
    """
    if _is_node_complete(request):
        return _interpreted(request, "Node", request.folder)
    with staging(request):
        return _interpreted(request, "Node", _stage(request))


def _is_node_complete(request: EnvironmentRequest) -> bool:
    function, folder = request.function, request.folder
    if function.build is not None or not any((folder / path).is_file() for path in script_files(function)):
        return False
    manifest = read_manifest(folder, MANIFEST)
    return manifest is None or not manifest.packages() or (folder / _PACKAGES).is_dir()


def prepare_php(request: EnvironmentRequest) -> HandlerEnvironment:
    """Return the environment of a PHP function.

    The project's own files run if its packages are in ``vendor`` or there are none. Otherwise Composer installs
    them in a copy, without scripts and plugins, as on a platform.

    Raises:
        PlatformError: ``no-toolchain``.
        BundleError: The function cannot be bundled.
        InvokeError: ``build-failed``: Composer is missing, or failed.
    """
    folder = request.folder
    if request.function.build is None and (
        (folder / _VENDOR).is_dir() or not (folder / _COMPOSER_MANIFEST).is_file()
    ):
        return _interpreted(request, "PHP", folder)
    with staging(request) as directory:
        root = _stage(request)
        if (root / _COMPOSER_MANIFEST).is_file():
            root = _install_composer(request, root, directory / "installed")
        return _interpreted(request, "PHP", root)


def _install_composer(request: EnvironmentRequest, source: Path, installed: Path) -> Path:
    composer = shutil.which("composer")
    function = request.function
    if composer is None:
        raise InvokeError(
            f"{function.name} needs Composer for its packages, and it is not on PATH.",
            code="build-failed",
            hint="Install Composer, or commit the vendor directory.",
        )
    request.report(BundleProgress(stage="install", runtime=function.runtime, detail="composer"))
    step = install_step(
        StagedBuild(installed, installed, installed),
        request.toolchain().interpreter.path,
        os.path.realpath(composer),
        mirrors=((source, installed, (_VENDOR,)),),
    )
    run_step(step, function.name)
    return installed


def _stage(request: EnvironmentRequest) -> Path:
    target = BundleTarget.parse(request.function.runtime, request.toolchain().interpreter.target)
    return stage_function(request, target)


def _interpreted(request: EnvironmentRequest, language: str, root: Path) -> HandlerEnvironment:
    toolchain = request.toolchain()
    options = INTERPRETERS[language].options(request.function.memory)
    return HandlerEnvironment(
        language=language,
        root=root,
        python=sys.executable,
        command=(toolchain.interpreter.path, *options),
        warnings=toolchain.warnings,
    )
