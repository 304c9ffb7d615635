"""Builds a ``Project`` from settings and a scan report, with all defaults filled in, and reports all problems.

1. Validate the project's name, stage, region and namespace.
2. Convert the functions declared by decorators and in settings to ``DeclaredFunction``.
3. Merge each with the defaults and the stage's overrides, validate it, and build its ``FunctionSpec``.
4. Check for names and domains that several functions use.

Order of precedence, lowest first: the platform's defaults, ``defaults``, the stage's ``defaults``, the function's
own declaration, the stage's ``functions.<name>``, the stage's ``env`` and ``secrets``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import Problem
from fnkit.project.drafts import DeclaredFunction, declared_functions, merged_declaration
from fnkit.project.findings import ProblemList, did_you_mean
from fnkit.project.functions import FunctionBuilder, validated_settings
from fnkit.project.model import FunctionSpec, Project, SourceLocation
from fnkit.project.namespaces import check_stage, validate_project_name, validate_region, build_namespace
from fnkit.project.requirements import read_requirements
from fnkit.project.runtimes import default_runtime, recorded_runtimes, runtime_version
from fnkit.project.settings import Settings, StageTable
from fnkit.scanner.report import ScanReport

__all__ = ["build_project"]

HOST_PYTHON = (sys.version_info.major, sys.version_info.minor)


def build_project(
    root: Path,
    settings: Settings,
    report: ScanReport,
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    host_python: tuple[int, int] = HOST_PYTHON,
) -> Project:
    """Build the project of one stage.

    Reads requirement files, and checks that the files of functions declared in settings exist.

    Args:
        root: The project folder.
        settings: The result of ``read_settings``.
        report: The result of ``scan``. Its problems are included in the exception.
        stage: Name of the stage, or ``""`` for the default stage.
        available: Runtimes that the platform creates functions for, or ``None`` to use the recorded table.
        host_python: Version of the Python that parsed the source, as ``(major, minor)``.

    Raises:
        ProjectInvalid: The project has problems. All of them are included, sorted by file and line.
    """
    problems = ProblemList()
    runtimes = recorded_runtimes() if available is None else available
    name = validate_project_name(settings, problems)
    check_stage(stage, settings, problems)
    region = validate_region(settings, stage, problems)
    namespace = build_namespace(settings, stage, problems)
    builder = FunctionBuilder(
        root=root,
        settings=settings,
        namespace=namespace,
        default_runtime=_default_python_runtime(settings, stage, default_runtime(runtimes, host_python), problems),
        available=runtimes,
        problems=problems,
    )
    problems.collected.extend(_scan_problems(report, builder.default_runtime, host_python))
    declared = declared_functions(settings, report, problems)
    functions = _build_functions(builder, settings, stage, declared)
    _check_uniqueness(functions, problems)
    requirements = read_requirements(root, problems)
    source_builds = tuple(dict.fromkeys(map(canonicalize_name, settings.table.source_builds)))
    problems.raise_if_any()
    return Project(
        root=root.resolve(),
        name=name,
        stage=stage,
        region=region,
        namespace=namespace,
        functions=tuple(sorted(functions, key=lambda function: function.name)),
        requirements=requirements.lines,
        requirements_file=requirements.file,
        exclude=settings.table.exclude,
        source_builds=source_builds,
    )


def _default_python_runtime(settings: Settings, stage: str, fallback: str, problems: ProblemList) -> str:
    """Return the default runtime of Python functions: the stage's, else the project's, else ``fallback``."""
    table = settings.table
    stage_runtime = table.stages[stage].defaults.runtime if stage in table.stages else None
    runtime = table.defaults.runtime if stage_runtime is None else stage_runtime
    if runtime is None:
        return fallback
    row = find_runtime(runtime)
    if row is None or row.language == "Python":
        return runtime
    path = ("defaults", "runtime") if stage_runtime is None else ("stages", stage, "defaults", "runtime")
    message = f"The default runtime applies to Python functions, and {runtime} is not a Python runtime."
    source = SourceLocation(settings.file, settings.lines.line(*path))
    problems.add("runtime-language", message, f"Use {fallback}.", source)
    return fallback


def _build_functions(
    builder: FunctionBuilder, settings: Settings, stage: str, declared: Iterable[DeclaredFunction]
) -> list[FunctionSpec]:
    """Merge each declared function with the project's and the stage's settings, and build it."""
    declared = list(declared)
    stage_table = settings.table.stages.get(stage, StageTable())
    defaults = merged_declaration(
        validated_settings(settings.table.defaults, ("defaults",), "defaults", builder),
        validated_settings(
            stage_table.defaults, ("stages", stage, "defaults"), f"defaults of stage {stage}", builder
        ),
    )
    _check_overrides(settings, declared, builder.problems)
    specs: list[FunctionSpec] = []
    for function in declared:
        overrides = FunctionDeclaration(env=stage_table.env or None, secrets=stage_table.secrets or None)
        table = stage_table.functions.get(function.name)
        if table is not None:
            path = ("stages", stage, "functions", function.name)
            overrides = merged_declaration(
                validated_settings(table, path, f"{function.name} in stage {stage}", builder), overrides
            )
        own = function.declaration
        if function.table_index is not None:
            own_table = settings.table.function[function.table_index]
            own = validated_settings(own_table, ("function", function.table_index), function.name, builder)
        # The default runtime is a Python runtime. The builder applies it to decorated handlers only; functions in
        # settings, which may be in another language, must name their own.
        complete = merged_declaration(replace(defaults, runtime=None), own, overrides)
        specs.append(builder.build(function, complete))
    return specs


def _check_overrides(settings: Settings, declared: Iterable[DeclaredFunction], problems: ProblemList) -> None:
    """Check that stages override only functions that exist."""
    names = [function.name for function in declared]
    for stage, table in settings.table.stages.items():
        for name in table.functions:
            if name not in names:
                source = SourceLocation(settings.file, settings.lines.line("stages", stage, "functions", name))
                message = f"Stage {stage} has settings for {name!r}, but there is no such function."
                problems.add("unknown-function", message, did_you_mean(name, names), source)


def _check_uniqueness(functions: Iterable[FunctionSpec], problems: ProblemList) -> None:
    """Check that no two functions have the same name or domain."""
    by_name: dict[str, SourceLocation] = {}
    by_domain: dict[str, FunctionSpec] = {}
    for function in functions:
        source = function.source
        first = by_name.setdefault(function.name, source)
        if first is not source:
            message = f"Two functions are named {function.name}; the other is in {first.file}:{first.line}."
            problems.add("duplicate-name", message, 'Rename one of them: name="…".', source)
        for domain in dict.fromkeys(function.domains):
            other = by_domain.setdefault(domain, function)
            if other is not function:
                message = (
                    f"{function.name} and {other.name} both have the domain {domain}; "
                    f"the other is in {other.source.file}:{other.source.line}."
                )
                problems.add("duplicate-domain", message, "A hostname can belong to only one function.", source)


def _scan_problems(report: ScanReport, runtime: str, host_python: tuple[int, int]) -> Iterable[Problem]:
    """Return the scan's problems, with an own code for syntax errors that may be valid in the runtime's Python.

    The source is parsed by the Python that runs fnkit, which may be older than the runtime.
    """
    version = runtime_version(runtime)
    for problem in report.problems:
        if problem.code == "syntax-error" and version is not None and version > host_python:
            theirs, ours = f"Python {version[0]}.{version[1]}", f"Python {host_python[0]}.{host_python[1]}"
            hint = f"Run fnkit with {theirs}, or use only syntax that {ours} supports."
            message = f"{problem.message} (parsed by {ours}, which is older than runtime {runtime})"
            yield replace(problem, code="syntax-newer-than-host", message=message, hint=hint)
        else:
            yield problem
