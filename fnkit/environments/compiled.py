"""The programs of functions in Go and Rust, compiled on this machine as a platform compiles them.

The compilers' own caches are used, so what other projects of the user have downloaded and compiled counts too.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from fnkit.bundler.model import BundleProgress
from fnkit.bundler.target import BundleTarget
from fnkit.environments.model import EnvironmentRequest, HandlerEnvironment
from fnkit.environments.run_step import run_step
from fnkit.environments.staging import stage_function, staging
from fnkit.errors import InvokeError
from fnkit.toolchains.build_step import BuildDirectories, InvalidSource, ProgramBuild
from fnkit.toolchains.go import prepare_go
from fnkit.toolchains.interpreter import Interpreter
from fnkit.toolchains.rust import prepare_rust

PrepareProgram: TypeAlias = Callable[[BuildDirectories, str, str], ProgramBuild]
"""Returns how a program is built, given the directories, the handler and the compiler."""

_COMPILERS: Final[Mapping[str, PrepareProgram]] = {"go": prepare_go, "rust": prepare_rust}
"""By the implementation of a toolchain."""
_LANGUAGES: Final = {"go": "Go", "rust": "Rust"}


@dataclass(frozen=True, slots=True)
class StagedBuild:
    """The directories of a build in the user's cache, which tools see as they are."""

    source: Path
    generated: Path
    cache: Path

    def shown(self, path: Path) -> str:
        """Return a path as text."""
        return str(path)


def prepare_compiled(request: EnvironmentRequest) -> HandlerEnvironment:
    """Compile a function in Go or Rust, and return its program.

    Raises:
        PlatformError: ``no-toolchain``.
        BundleError: The function cannot be bundled.
        InvokeError: ``build-failed``.
    """
    toolchain = request.toolchain()
    interpreter = toolchain.interpreter
    with staging(request) as directory:
        source = stage_function(request, BundleTarget.parse(request.function.runtime, interpreter.target))
        directories = _make_directories(source, directory)
        program = _build(request, directories, interpreter)
    return HandlerEnvironment(
        language=_LANGUAGES[interpreter.implementation],
        root=source,
        python=sys.executable,
        command=(str(directories.cache / program.program),),
        is_server=program.is_server,
        warnings=(*program.notes, *toolchain.warnings),
    )


def _build(request: EnvironmentRequest, directories: StagedBuild, compiler: Interpreter) -> ProgramBuild:
    function = request.function
    request.report(BundleProgress(stage="build", runtime=function.runtime, detail=function.name))
    try:
        program = _COMPILERS[compiler.implementation](directories, function.handler, compiler.path)
    except InvalidSource as error:
        raise InvokeError(f"{function.name} cannot be compiled: {error}", code="build-failed") from None
    for path in program.stale:
        shutil.rmtree(path, ignore_errors=True)
    run_step(program.step, function.name)
    return program


def _make_directories(source: Path, directory: Path) -> StagedBuild:
    build = StagedBuild(source, directory / "generated", directory / "cache")
    shutil.rmtree(build.generated, ignore_errors=True)
    for path in (build.generated, build.cache):
        path.mkdir(parents=True, exist_ok=True)
    return build
