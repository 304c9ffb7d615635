"""Settings and a scan report → a ``Project``: every default filled in, every rule checked, all problems at once.

1. The project's own name, stage, region, namespace.
2. Declared functions in one shape, from decorators and from settings.
3. Each with its defaults laid under and its stage's overrides laid over it, checked, made a ``FunctionSpec``.
4. What only all of them together can tell: names and domains used twice.

Order of precedence, weakest first: the platform's defaults, ``defaults``, the stage's ``defaults``, what is
declared on the function, the stage's ``functions.<name>``, the stage's ``env`` and ``secrets``.
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
from fnkit.project.drafts import Draft, drafts_of, overlaid
from fnkit.project.findings import Findings, did_you_mean
from fnkit.project.functions import FunctionMaker, settled
from fnkit.project.model import FunctionSpec, Project, Source
from fnkit.project.namespaces import check_stage, checked_project_name, checked_region, namespace_spec
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
    """Make the project of one stage.

    Args:
        root: the project's folder; requirement files and the files of non-Python functions are looked at.
        settings: what ``read_settings`` gave.
        report: what ``scan`` gave; its problems are told with the rest.
        stage: ``""`` for the default.
        available: runtimes that the platform creates functions for; ``None`` for the recorded table's.
        host_python: (major, minor) of the Python that scanned.

    Raises:
        ProjectInvalid: with all problems at once, by file and line.
    """
    findings = Findings()
    runtimes = recorded_runtimes() if available is None else available
    name = checked_project_name(settings, findings)
    check_stage(stage, settings, findings)
    region = checked_region(settings, stage, findings)
    namespace = namespace_spec(settings, stage, findings)
    maker = FunctionMaker(
        root=root,
        settings=settings,
        namespace=namespace,
        default_runtime=_python_runtime(settings, stage, default_runtime(runtimes, host_python), findings),
        available=runtimes,
        findings=findings,
    )
    findings.problems.extend(_scan_problems(report, maker.default_runtime, host_python))
    drafts = drafts_of(settings, report, findings)
    functions = _functions(maker, settings, stage, drafts)
    _check_together(functions, findings)
    needs = read_requirements(root, findings)
    source_builds = tuple(dict.fromkeys(map(canonicalize_name, settings.table.source_builds)))
    findings.raise_if_any()
    return Project(
        root=root.resolve(),
        name=name,
        stage=stage,
        region=region,
        namespace=namespace,
        functions=tuple(sorted(functions, key=lambda function: function.name)),
        requirements=needs.lines,
        requirements_file=needs.file,
        exclude=settings.table.exclude,
        source_builds=source_builds,
    )


def _python_runtime(settings: Settings, stage: str, usual: str, findings: Findings) -> str:
    """The runtime of Python functions that name none: the stage's, the project's, else the usual one."""
    table = settings.table
    ours = table.stages[stage].defaults.runtime if stage in table.stages else None
    runtime = table.defaults.runtime if ours is None else ours
    if runtime is None:
        return usual
    row = find_runtime(runtime)
    if row is None or row.language == "Python":
        return runtime
    path = ("defaults", "runtime") if ours is None else ("stages", stage, "defaults", "runtime")
    message = f"The default runtime is for Python functions, and {runtime} is not one."
    source = Source(settings.file, settings.lines.line(*path))
    findings.add("runtime-language", message, f"Use {usual}.", source)
    return usual


def _functions(maker: FunctionMaker, settings: Settings, stage: str, drafts: Iterable[Draft]) -> list[FunctionSpec]:
    """Lay the project's and the stage's settings under and over each draft."""
    drafts = list(drafts)
    ours = settings.table.stages.get(stage, StageTable())
    below = overlaid(
        settled(settings.table.defaults, ("defaults",), "defaults", maker),
        settled(ours.defaults, ("stages", stage, "defaults"), f"defaults of stage {stage}", maker),
    )
    _check_overrides(settings, drafts, maker.findings)
    specs: list[FunctionSpec] = []
    for draft in drafts:
        above = FunctionDeclaration(env=ours.env or None, secrets=ours.secrets or None)
        override = ours.functions.get(draft.name)
        if override is not None:
            path = ("stages", stage, "functions", draft.name)
            above = overlaid(settled(override, path, f"{draft.name} in stage {stage}", maker), above)
        given = draft.given
        if draft.index is not None:
            table = settings.table.function[draft.index]
            given = settled(table, ("function", draft.index), draft.name, maker)
        # The default runtime is one for Python; a function in another language names its own.
        merged = overlaid(replace(below, runtime=None), given, above)
        specs.append(maker.make(draft, merged))
    return specs


def _check_overrides(settings: Settings, drafts: Iterable[Draft], findings: Findings) -> None:
    """A stage may only override functions that there are."""
    names = [draft.name for draft in drafts]
    for stage, table in settings.table.stages.items():
        for name in table.functions:
            if name not in names:
                source = Source(settings.file, settings.lines.line("stages", stage, "functions", name))
                message = f"Stage {stage} has settings for {name!r}, and there is no such function."
                findings.add("unknown-function", message, did_you_mean(name, names), source)


def _check_together(functions: Iterable[FunctionSpec], findings: Findings) -> None:
    """Names and domains that more than one function uses, with both places."""
    by_name: dict[str, Source] = {}
    by_domain: dict[str, FunctionSpec] = {}
    for function in functions:
        source = function.source
        first = by_name.setdefault(function.name, source)
        if first is not source:
            message = f"Two functions are called {function.name}; the other is in {first.file}:{first.line}."
            findings.add("duplicate-name", message, 'Give one of them another name: name="…".', source)
        for domain in dict.fromkeys(function.domains):
            other = by_domain.setdefault(domain, function)
            if other is not function:
                message = (
                    f"{function.name} and {other.name} both answer to {domain}; "
                    f"the other is in {other.source.file}:{other.source.line}."
                )
                findings.add("duplicate-domain", message, "A hostname belongs to one function.", source)


def _scan_problems(report: ScanReport, runtime: str, host: tuple[int, int]) -> Iterable[Problem]:
    """The scan's problems; a syntax error may only mean that the host is older than the runtime (decision 3)."""
    version = runtime_version(runtime)
    for problem in report.problems:
        if problem.code == "syntax-error" and version is not None and version > host:
            theirs, ours = f"Python {version[0]}.{version[1]}", f"Python {host[0]}.{host[1]}"
            hint = f"Run fnkit with {theirs}, or write what {ours} reads."
            message = f"{problem.message} (read by {ours}, which is older than runtime {runtime})"
            yield replace(problem, code="syntax-newer-than-host", message=message, hint=hint)
        else:
            yield problem
