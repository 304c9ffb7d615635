"""``fnkit test``: run the project's tests in the project's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, allow_builds_option, common_options
from fnkit.errors import UsageError

if TYPE_CHECKING:
    from fnkit.cli.output import Output
    from fnkit.environments.project_tests import ProjectTestRun
    from fnkit.project import Project


@command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT]...")
@allow_builds_option
@common_options
def test(common: CommonOptions, *, arguments: tuple[str, ...], allow_builds: bool) -> int | None:
    r"""Run the project's tests in the project's environment.

    The test runners are pytest for Python, and npm, Composer, go and cargo for other languages.

    Python tests run with the packages of the project's lock, the dependency group dev, and the fixtures of fnkit.
    Arguments go to the test runner; write -- before those that are options of fnkit too:

    \b
        fnkit test -k orders
        fnkit test -- -v
    """
    from fnkit.cli.views.test import TestRunsView
    from fnkit.deploy.loading import load_project

    project = load_project(common.directory, stage=common.stage)
    runs = _plan(common, project, allow_builds=allow_builds)
    if not runs:
        raise UsageError(
            "The project has no tests.",
            code="no-tests",
            hint="Write a script test in package.json or composer.json, or tests of Go or Rust.",
        )
    if arguments and len(runs) > 1:
        raise UsageError(
            f"The project has tests in {', '.join(run.language for run in runs)}: arguments cannot be for all.",
            code="several-test-runners",
            hint="Leave them out, or call the test runner itself.",
        )
    codes = tuple(_run(run, arguments, common.output, heading=len(runs) > 1) for run in runs)
    common.output.result(TestRunsView(tuple(zip(runs, codes, strict=True)), project.root))
    return 1 if any(codes) else None


def _plan(common: CommonOptions, project: Project, *, allow_builds: bool) -> tuple[ProjectTestRun, ...]:
    from fnkit.cli.handler_environment import environment_source
    from fnkit.environments.project_tests import plan_test_runs
    from fnkit.environments.python_tests import PythonTestsRequest

    python = next((one.runtime for one in project.functions if one.runtime.startswith("python")), "")
    with environment_source(common, allow_builds=allow_builds) as source:
        request = PythonTestsRequest(
            project=project,
            runtime=python,
            cache=source.cache,
            toolchains=source.toolchains,
            report=source.report,
            allow_builds=source.allow_builds,
        )
        return plan_test_runs(request, _own_command())


def _own_command() -> str:
    """Return the program that is running."""
    program = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("fnkit")
    return str(program.resolve() if program.name == "fnkit" and program.is_file() else beside)


def _run(run: ProjectTestRun, arguments: tuple[str, ...], output: Output, *, heading: bool) -> int:
    if heading:
        output.message(f"{run.language}: {' '.join([Path(run.arguments[0]).name, *run.arguments[1:]])}")
    stdout = sys.stderr.fileno() if output.as_json else None  # stdout is for the document alone
    try:
        done = subprocess.run(
            [*run.arguments, *arguments],
            cwd=run.directory,
            env={**os.environ, **run.variables},
            stdout=stdout,
            check=False,
        )
    except OSError as error:
        name = Path(run.arguments[0]).name
        raise UsageError(
            f"{name}, which runs the tests in {run.language}, cannot be run: {error.strerror}.",
            code="no-test-runner",
            hint=f"Install {name}.",
        ) from None
    return done.returncode
