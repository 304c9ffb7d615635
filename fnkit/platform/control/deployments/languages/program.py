"""Runs the build step of a function in the sandbox, and puts its program in its place in the deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fnkit.platform.control.deployments.build_environment import certificate_paths
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob
from fnkit.platform.control.deployments.build_tool import SandboxedBuild
from fnkit.platform.directory_tree import remove_tree
from fnkit.toolchains.build_step import BuildStep, Mirror, ProgramBuild
from fnkit.worker.built_program import BUILT_PROGRAM, HTTP_SERVER


def find_toolchain(job: BuildJob, name: str) -> str:
    """Return the path of the compiler of a job.

    Raises:
        BuildFailed: There is none.
    """
    if job.interpreter is None:
        raise BuildFailed(f"{name} was not found on this machine.")
    return job.interpreter


def run_step(
    build: SandboxedBuild, step: BuildStep, environment: Mapping[str, str], mirrors: Sequence[Mirror] = ()
) -> None:
    """Run a build step.

    Args:
        build: The build.
        step: What to run.
        environment: How it reaches registries, and where it keeps what it downloads.
        mirrors: What is copied before it starts, besides what the step names.

    Raises:
        BuildFailed: It failed.
        BuildStopped: The build was stopped.
    """
    build.run(
        step.arguments,
        directory=step.directory,
        environment={**environment, **step.environment},
        readable=[*step.readable, *certificate_paths(), *(str(source) for source, _, _ in mirrors)],
        mirrors=[*step.mirrors, *mirrors],
        hints=step.hints,
    )


def place_program(build: SandboxedBuild, directory: Path, program: ProgramBuild) -> None:
    """Copy a program from the cache to its place in the deployment.

    Raises:
        BuildFailed: There is none, or it is too large.
        OSError: It cannot be written.
    """
    target = directory / BUILT_PROGRAM
    remove_tree(target.parent)
    build.take_program(program.program, target)
    if program.is_server:
        (directory / HTTP_SERVER).touch(mode=0o644)
