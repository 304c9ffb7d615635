"""How the tests of a project are run: by the test runner of each language, in the environment of the project."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from fnkit.contract.runtimes import find_runtime
from fnkit.environments.python_tests import PythonTestsRequest, prepare_python_tests
from fnkit.environments.run_step import search_path_from
from fnkit.project.model import Project
from fnkit.testing.command import COMMAND_VARIABLE
from fnkit.toolchains.packaged_programs import find_packaged_program, link_packaged_node
from fnkit.worker.python.included_directories import VARIABLE as INCLUDED_VARIABLE

_NO_TESTS: Final = "no test specified"
"""In the script that `npm init` writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTestRun:
    """One run of a test runner.

    Attributes:
        language: The language of the tests.
        directory: Where it runs.
        arguments: The program and its arguments.
        variables: Environment variables, besides those of the user.
    """

    language: str
    directory: Path
    arguments: tuple[str, ...]
    variables: Mapping[str, str]


_FindRunner: TypeAlias = Callable[[Path, PythonTestsRequest, str], tuple[str, ...] | None]
"""Returns the command that runs the tests in a folder, or ``None`` if there are none."""
_PACKAGED_NODE: Final = "packaged-node"


def plan_test_runs(request: PythonTestsRequest, command: str) -> tuple[ProjectTestRun, ...]:
    """Return how the tests of a project are run, Python first; make the environment that they need.

    A folder of another language without tests has no run.

    Args:
        request: The project, and where environments are kept.
        command: The running ``fnkit``, which starts the platform of the tests.

    Raises:
        PlatformError: ``no-toolchain``.
        BundleError: The environment cannot be made.
    """
    return tuple(_runs(request, command))


def _runs(request: PythonTestsRequest, command: str) -> Iterator[ProjectTestRun]:
    project = request.project
    if any(_language(one.runtime) == "Python" for one in project.functions):
        python = prepare_python_tests(request)
        yield ProjectTestRun(
            language="Python",
            directory=project.root,
            arguments=(str(python), "-m", "pytest"),
            variables={COMMAND_VARIABLE: command, INCLUDED_VARIABLE: _included(project)},
        )
    seen: set[tuple[str, Path]] = set()
    for function in project.functions:
        language = _language(function.runtime)
        directory = project.root / function.root
        find = _RUNNERS.get(language)
        if find is None or (language, directory) in seen:
            continue
        seen.add((language, directory))
        arguments = find(directory, request, function.runtime)
        if arguments is not None:
            variables = {"PATH": search_path_from(arguments[0]), COMMAND_VARIABLE: command}
            yield ProjectTestRun(language=language, directory=directory, arguments=arguments, variables=variables)


def _included(project: Project) -> str:
    """Return the directories outside the project that its tests can import, as the pytest plugin reads them."""
    return json.dumps({one.name: str(one.directory) for one in project.included})


def _language(runtime: str) -> str:
    row = find_runtime(runtime)
    return row.language if row is not None else ""


def _node(directory: Path, request: PythonTestsRequest, runtime: str) -> tuple[str, ...] | None:
    script = _script(directory / "package.json")
    if script is None or _NO_TESTS in script:
        return None
    node = Path(request.toolchains.resolve(runtime).interpreter.path)
    beside = node.with_name("npm")
    if node == find_packaged_program("node"):
        beside = link_packaged_node(request.cache.root / _PACKAGED_NODE) / "npm"
    return (str(beside) if beside.exists() else shutil.which("npm") or "npm", "test")


def _php(directory: Path, request: PythonTestsRequest, runtime: str) -> tuple[str, ...] | None:
    runner = directory / "vendor/bin/phpunit"
    if _script(directory / "composer.json") is not None:
        return (shutil.which("composer") or "composer", "test")
    return (request.toolchains.resolve(runtime).interpreter.path, str(runner)) if runner.is_file() else None


def _go(directory: Path, request: PythonTestsRequest, runtime: str) -> tuple[str, ...] | None:
    has_tests = any(directory.rglob("*_test.go"))
    return (request.toolchains.resolve(runtime).interpreter.path, "test", "./...") if has_tests else None


def _rust(directory: Path, request: PythonTestsRequest, runtime: str) -> tuple[str, ...] | None:
    has_crate = (directory / "Cargo.toml").is_file()
    return (request.toolchains.resolve(runtime).interpreter.path, "test") if has_crate else None


_RUNNERS: Final[Mapping[str, _FindRunner]] = {"Node": _node, "PHP": _php, "Go": _go, "Rust": _rust}


def _script(manifest: Path) -> str | None:
    """Return the script ``test`` of a ``package.json`` or ``composer.json``, or ``None``."""
    try:
        document: Any = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    scripts = document.get("scripts") if isinstance(document, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    return json.dumps(script) if script else None
