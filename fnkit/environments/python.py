"""Virtual environments for Python handlers: the packages of a function's lock for this machine, and nothing else.

They are in the user's cache, one for each set of packages, and never include the packages of the interpreter that
runs fnkit: so fnkit can be a tool of its own (`uv tool install`) and serve every project.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from fnkit.bundler.authoring_files import adapter_runtime, authoring_runtime, write_entry
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import lock_target
from fnkit.bundler.files.content import FileContent
from fnkit.bundler.target import BundleTarget
from fnkit.environments.model import EnvironmentRequest, HandlerEnvironment, unwritable_cache_error
from fnkit.toolchains.interpreter import Interpreter

_FORMAT: Final = 1
_READY: Final = "ready"
_UNUSED_SECONDS: Final = 30 * 24 * 3600
_KEY_DIGITS: Final = 24


def prepare_python(request: EnvironmentRequest) -> HandlerEnvironment:
    """Return the environment of a Python function.

    Files of a declared build are in a copy of the project; otherwise the project's own files run.

    Raises:
        PlatformError: ``no-toolchain``.
        BundleError: The requirements cannot be resolved or installed, or a build is not allowed.
    """
    toolchain = request.toolchain()
    interpreter = toolchain.interpreter
    target = BundleTarget.parse(request.function.runtime, interpreter.target)
    root = request.folder if request.function.build is None else _stage(request, target)
    whole = lock_target(request.project, target, "local", report=request.report, allow_builds=request.allow_builds)
    lock = whole.select(request.function.groups)
    python = ensure_virtual_environment(
        request.cache.root / "python",
        (interpreter.path, *sorted(one.sha256 for one in lock.packages)),
        interpreter,
        lambda python: _install(request, lock, python),
    )
    entry = request.function.entry
    entries = None if entry is None else write_entry(entry, request.cache.bundler).parent
    included = request.project.included if request.function.build is None else ()  # a copy contains them
    return HandlerEnvironment(
        language="Python",
        root=root,
        python=str(python),
        warnings=toolchain.warnings,
        entries=entries,
        included=tuple((one.name, str(one.directory)) for one in included),
    )


def _stage(request: EnvironmentRequest, target: BundleTarget) -> Path:
    from fnkit.environments.staging import stage_function, staging  # imports the bundlers of all languages

    with staging(request):
        return stage_function(request, target)


def _install(request: EnvironmentRequest, lock: Lock, python: Path) -> None:
    from fnkit.bundler.dependencies.install import install_lock  # needed the first time only

    install_lock(
        lock,
        request.project.root,
        python,
        request.cache.bundler,
        report=request.report,
        allow_builds=request.allow_builds,
    )
    _install_authoring(python)


def _install_authoring(python: Path) -> None:
    """Copy the parts of fnkit that bundles contain: decorators, types and adapters, without the tool."""
    [packages] = python.parent.parent.glob("lib/python3*/site-packages")
    for name, content in own_files().items():
        copy = packages / name.removeprefix("package/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(content.source, copy)


def own_files() -> dict[str, FileContent]:
    """Return fnkit's own files that an environment has, by path in an archive."""
    return {**authoring_runtime(), **adapter_runtime(with_tools=True)}


def ensure_virtual_environment(
    directory: Path, key: tuple[str, ...], interpreter: Interpreter, install: Callable[[Path], None]
) -> Path:
    """Return the interpreter of a virtual environment, which is made if it is missing.

    Processes may ask for the same one at the same time: one makes it, the others wait. One whose making was
    interrupted is made again. Those that nobody used for a month are removed.

    Args:
        directory: Where environments are kept.
        key: What determines the content.
        interpreter: The interpreter that it is based on.
        install: Fills a new environment, given its interpreter.

    Raises:
        BundleError: It could not be made.
    """
    authoring = [content.sha256 for content in own_files().values()]
    parts = [_FORMAT, list(key), interpreter.path, list(interpreter.version), authoring]
    digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:_KEY_DIGITS]
    environment = directory / digest
    python = environment / "bin/python"
    ready = environment / _READY
    if ready.is_file() and python.is_file():
        with suppress(OSError):
            os.utime(ready)
        return python
    # Imported late: needed the first time only, and not fast to import.
    from filelock import FileLock

    from fnkit.bundler.dependencies.install import create_virtual_environment

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(directory / f"{digest}.lock"):
            if not (ready.is_file() and python.is_file()):
                shutil.rmtree(environment, ignore_errors=True)
                install(create_virtual_environment(environment, interpreter.path))
                ready.touch()
                _remove_unused(directory, environment)
    except OSError as error:
        raise unwritable_cache_error("The project's environment", directory, error) from error
    return python


def _remove_unused(directory: Path, current: Path) -> None:
    limit = time.time() - _UNUSED_SECONDS
    for ready in directory.glob(f"*/{_READY}"):
        with suppress(OSError):
            if ready.parent != current and ready.stat().st_mtime < limit:
                shutil.rmtree(ready.parent, ignore_errors=True)
                (directory / f"{ready.parent.name}.lock").unlink(missing_ok=True)
