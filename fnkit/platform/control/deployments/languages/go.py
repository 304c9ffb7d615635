"""Builds functions in Go: see ``fnkit.toolchains.go``. The cache of a function begins with the standard library."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fnkit.platform.control.deployments.archive import unpack_code
from fnkit.platform.control.deployments.build_environment import go_environment, registry_environment
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob
from fnkit.platform.control.deployments.build_tool import SandboxedBuild, open_build
from fnkit.platform.control.deployments.compiled_libraries import provide_library
from fnkit.platform.control.deployments.languages.program import find_toolchain, place_program, run_step
from fnkit.platform.directory_tree import remove_tree
from fnkit.toolchains.build_step import InvalidSource, Mirror, ProgramBuild, read_source
from fnkit.toolchains.go import prepare_go, prepare_go_library

_COMPILED: Final = "compiled"
"""The directory of compiled packages in the cache of a build."""
_DIGEST_DIGITS: Final = 16


def build_go(job: BuildJob, directory: Path) -> str:
    """Unpack the archive and compile the function.

    Raises:
        BuildFailed: The archive or the code is invalid.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    unpack_code(job, directory)
    go = find_toolchain(job, "Go")
    with open_build(job, directory) as build:
        program = _prepare(job, build, go)
        for note in program.notes:
            job.log.write(note)
        library = _prepare_library(job, go)
        job.log.write("Compiling with Go.")
        copies: list[Mirror] = []
        if library is not None and not os.path.lexists(build.cache / _COMPILED):
            copies.append((library, build.cache / _COMPILED, []))
        run_step(build, program.step, _environment(build, go), copies)
        place_program(build, directory, program)
    return ""


def _prepare(job: BuildJob, build: SandboxedBuild, go: str) -> ProgramBuild:
    try:
        program = prepare_go(build, job.handler, go)
    except InvalidSource as error:
        raise BuildFailed(str(error)) from None
    for path in program.stale:
        remove_tree(path)
    return program


def _environment(build: SandboxedBuild, go: str) -> dict[str, str]:
    cache = build.shown(build.cache)
    return {
        **registry_environment(),
        **go_environment(go),
        "GOCACHE": f"{cache}/{_COMPILED}",
        "GOENV": "off",
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": f"{cache}/modules",
        "GOPATH": f"{cache}/path",
        "GOTELEMETRY": "off",
    }


def _prepare_library(job: BuildJob, go: str) -> Path | None:
    """Return compiled packages of the standard library, with which the cache of a function begins."""
    goroot = Path(go).parent.parent
    version = hashlib.sha256(f"{goroot} {read_source(goroot / 'VERSION')}".encode()).hexdigest()[:_DIGEST_DIGITS]

    @contextmanager
    def compile_library() -> Iterator[Path]:
        job.log.write("Compiling the standard library, once for this version of Go.")
        own = dataclasses.replace(job, target=job.target.with_name(f"{job.target.name}.go"), cache=None)
        with TemporaryDirectory(dir=job.target.parent, prefix=".go-") as source:
            Path(source).chmod(0o755)
            with open_build(own, Path(source)) as build:
                run_step(build, prepare_go_library(build, go), _environment(build, go))
                yield build.cache / _COMPILED

    return provide_library(job, f"go-{version}", compile_library)
