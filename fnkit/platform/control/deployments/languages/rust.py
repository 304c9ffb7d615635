"""Builds functions in Rust: see ``fnkit.toolchains.rust``."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.control.deployments.archive import unpack_code
from fnkit.platform.control.deployments.build_environment import (
    CARGO_VARIABLES,
    cargo_options,
    registry_environment,
)
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob
from fnkit.platform.control.deployments.build_tool import open_build
from fnkit.platform.control.deployments.languages.program import find_toolchain, place_program, run_step
from fnkit.platform.directory_tree import remove_tree
from fnkit.toolchains.build_step import InvalidSource
from fnkit.toolchains.rust import prepare_rust


def build_rust(job: BuildJob, directory: Path) -> str:
    """Unpack the archive and compile the function.

    Raises:
        BuildFailed: The archive or the code is invalid.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    unpack_code(job, directory)
    cargo = find_toolchain(job, "Rust")
    with open_build(job, directory) as build:
        try:
            program = prepare_rust(build, job.handler, cargo, cargo_options())
        except InvalidSource as error:
            raise BuildFailed(str(error)) from None
        for path in program.stale:
            remove_tree(path)
        for line in ("Compiling with cargo.", *program.notes):
            job.log.write(line)
        environment = {**registry_environment(*CARGO_VARIABLES), "CARGO_HOME": f"{build.shown(build.cache)}/cargo"}
        run_step(build, program.step, environment)
        place_program(build, directory, program)
    return ""
