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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType

from packaging.utils import InvalidName, canonicalize_name

from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.contract.names import function_name_error
from fnkit.contract.runtimes import find_runtime
from fnkit.contract.text import natural_key
from fnkit.contract.toml_lines import KeyPath
from fnkit.errors import Problem
from fnkit.project import validation
from fnkit.project.declarations import (
    DeclaredFunction,
    declared_env,
    declared_functions,
    explicit_settings,
    merged_declaration,
)
from fnkit.project.event_sources import build_crons, build_triggers, never_running_notes
from fnkit.project.function_groups import assign_groups
from fnkit.project.function_urls import check_function_urls, constants_of, function_urls_of
from fnkit.project.handlers import check_handler
from fnkit.project.include_setting import read_included
from fnkit.project.languages.python import find_application_entry, find_entry
from fnkit.project.model import (
    BuildCommand,
    DeclarationSource,
    EntryModule,
    FunctionSpec,
    NamespaceSpec,
    Project,
    SourceLocation,
)
from fnkit.project.problems import ProblemList, Subject, did_you_mean
from fnkit.project.requirements import Requirements, read_requirements, read_requires_python
from fnkit.project.runtimes import (
    accepts_updates,
    check_runtime,
    creatable_runtimes,
    default_runtime,
    runtime_language,
    runtime_version,
)
from fnkit.project.settings import FunctionDefaults, Settings, StageTable
from fnkit.scanner.report import ScanReport

_ENTRY_PYTHON = (3, 11)
"""fnkit's own part of a bundle needs it."""
_HOST_PYTHON = (sys.version_info.major, sys.version_info.minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionBuilder:
    """Builds the functions of one project.

    Attributes:
        root: The project folder.
        default_runtime: The runtime of decorated handlers that name none, unless they are deployed.
        is_default_set: Whether the settings name the default runtime.
        available: Names of the runtimes that the platform creates functions for.
        needed: The functions whose runtimes must be available; ``None`` for all.
        deployed: Runtimes of deployed functions by name.
        problems: Receives the problems.
    """

    root: Path
    settings: Settings
    namespace: NamespaceSpec
    default_runtime: str
    is_default_set: bool
    available: frozenset[str]
    needed: frozenset[str] | None
    deployed: Mapping[str, str]
    problems: ProblemList

    def build(self, function: DeclaredFunction, declaration: FunctionDeclaration) -> FunctionSpec:
        """Validate a function and fill in the platform's defaults.

        Args:
            function: The declared function, with its crons and triggers.
            declaration: Its settings, merged with the project's and the stage's.
        """
        subject = Subject(function.name, function.declared, self.problems)
        self._check_name(subject)
        runtime, language = self._select_runtime(function, declaration, subject)
        handler = self._select_handler(function, runtime)
        build = validation.validate_build(function.build, subject)
        notes = self._check_handler(function, handler, language, build, subject)
        entry = self._find_entry(function, handler, runtime, subject)
        valid = validation.validate_settings(declaration, subject)
        crons = build_crons(function.crons, subject)
        env, secrets = declaration.env or {}, declaration.secrets or ()
        validation.check_variable_counts(env, secrets, (self.namespace.env, self.namespace.secrets), subject)
        return FunctionSpec(
            name=function.name,
            runtime=runtime,
            handler=handler if entry is None else entry.entry_handler,
            source=function.source,
            secrets_source=function.declared.of("secrets"),
            **asdict(valid),
            description=function.summary if declaration.description is None else declaration.description,
            env=constants_of(env),
            function_urls=function_urls_of(env),
            secrets=tuple(dict.fromkeys(secrets)),
            tags=tuple(dict.fromkeys(declaration.tags or ())),
            domains=tuple(dict.fromkeys(declaration.domains or ())),
            private_network_id=declaration.private_network_id or "",
            crons=crons,
            triggers=build_triggers(function.triggers, subject),
            preload=declaration.preload is not False,
            root=function.root,
            build=build,
            notes=(*notes, *never_running_notes(function.name, crons)),
            entry=entry,
        )

    def _check_name(self, subject: Subject) -> None:
        if function_name_error(subject.name) is not None:
            hint = "Use at most 34 lower-case letters, digits and dashes, no dash at the ends; or set name=."
            subject.add("bad-name", f"{subject.name[:80]!r} is not a valid function name.", hint, setting="name")

    def _select_runtime(
        self, function: DeclaredFunction, declaration: FunctionDeclaration, subject: Subject
    ) -> tuple[str, str]:
        """Return the runtime of a function and its language.

        The language is ``""`` for an unknown runtime, whose handler cannot be checked.
        """
        name = declaration.runtime
        if name is None and function.table_index is not None:
            hint = f"Set one, such as {min(self.available, default='node24')}."
            subject.add("setting-missing", f"{subject} has no runtime.", hint)
            return "", ""
        runtime = self._default_runtime_of(function.name) if name is None else name
        if runtime == self.deployed.get(function.name) and accepts_updates(runtime):
            return runtime, runtime_language(runtime)
        is_needed = self.needed is None or function.name in self.needed
        available = self.available if is_needed else self.available | creatable_runtimes()
        if not check_runtime(runtime, available, function.declared.of("runtime"), self.problems):
            return runtime, ""
        row = find_runtime(runtime)
        language = row.language if row else runtime_language(runtime)
        if function.table_index is None and language != "Python":
            message = f"{subject} is a Python handler, but its runtime {runtime} is not a Python runtime."
            subject.add("runtime-language", message, f"Use {self.default_runtime}.", setting="runtime")
        return runtime, language

    def _default_runtime_of(self, function: str) -> str:
        """Return the runtime of a decorated handler that names none: a default changes no deployed function."""
        deployed = self.deployed.get(function, "")
        if self.is_default_set or runtime_language(deployed) != "Python":
            return self.default_runtime
        return deployed if deployed in self.available or accepts_updates(deployed) else self.default_runtime

    def _find_entry(
        self, function: DeclaredFunction, handler: str, runtime: str, subject: Subject
    ) -> EntryModule | None:
        """Return the entry module of a decorated handler that the platform cannot call itself."""
        if function.is_application:
            entry: EntryModule | None = find_application_entry(handler)
        else:
            entry = find_entry(handler, function.signature, subject)
        version = runtime_version(runtime)
        if entry is not None and version is not None and version < _ENTRY_PYTHON:
            message = f"{subject} is {entry.handler_kind}, which needs Python 3.11 or later, not {runtime}."
            subject.add("runtime-too-old", message, f"Use {self.default_runtime}, or def handler(event, context).")
        return entry

    def _select_handler(self, function: DeclaredFunction, runtime: str) -> str:
        row = find_runtime(runtime)
        return function.handler if function.handler is not None else (row.default_handler if row else "")

    def _check_handler(
        self, function: DeclaredFunction, handler: str, language: str, build: BuildCommand | None, subject: Subject
    ) -> tuple[str, ...]:
        """Check the handler of a function in settings, if its language is known, and return notes for the user."""
        if function.table_index is None or not language:
            return ()
        if language == "Python" and function.root != ".":
            message = f"{subject} is a Python function, so its path must be the whole project."
            hint = "Remove path, and put the file's path into handler, as in handlers/hello.say."
            subject.add("bad-path", message, hint, setting="path")
            return ()
        output = None if build is None else build.output
        return check_handler(self.root, function.root, handler, language, subject, build_output=output)


def _validated_settings(
    table: FunctionDefaults, path: KeyPath, subject: str, builder: FunctionBuilder
) -> FunctionDeclaration:
    """Return the valid settings of a table; invalid ones are reported and left out.

    A wrong default is thereby reported once, with its line, and not again for every function.

    Args:
        table: The table.
        path: Its path in the settings, for line numbers.
        subject: Start of each message.
        builder: Has the settings, and receives the problems.
    """
    given = explicit_settings(table)
    valid: dict[str, object] = {}
    for field in fields(FunctionDeclaration):
        value = getattr(given, field.name)
        if value is None:
            continue
        before = len(builder.problems.collected)
        source = builder.settings.location(*path, field.name)
        validation.validate_settings(
            FunctionDeclaration(**{field.name: value}),
            Subject(subject, DeclarationSource(source), builder.problems),
        )
        if len(builder.problems.collected) == before:
            valid[field.name] = value
    return FunctionDeclaration(**valid)  # type: ignore[arg-type]  # each value comes from the field of its name


def build_project(
    root: Path,
    settings: Settings,
    report: ScanReport,
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    needed: frozenset[str] | None = None,
    deployed: Mapping[str, str] = MappingProxyType({}),
    host_python: tuple[int, int] = _HOST_PYTHON,
) -> Project:
    """Build the project of one stage.

    Reads requirement files, and checks that the files of functions declared in settings exist.

    Args:
        root: The project folder.
        settings: The result of ``read_settings``.
        report: The result of ``scan``. Its problems are included in the exception.
        stage: Name of the stage, or ``""`` for the default stage.
        available: Runtimes that the platform creates functions for, or ``None`` to use the recorded table.
        needed: The functions whose runtimes must be available; ``None`` for all.
        deployed: Runtimes of deployed functions by name, which functions that name none keep.
        host_python: Version of the Python that parsed the source, as ``(major, minor)``.

    Raises:
        ProjectInvalid: The project has problems. All of them are included, sorted by file and line.
    """
    problems = ProblemList()
    runtimes = creatable_runtimes() if available is None else available
    name = validation.validate_project_name(settings, problems)
    validation.check_stage(stage, settings, problems)
    region = validation.validate_region(settings, stage, problems)
    namespace = validation.build_namespace(settings, stage, problems)
    configured = _configured_runtime(
        settings, stage, default_runtime(runtimes, host_python), None if not report.functions else problems
    )
    builder = FunctionBuilder(
        root=root,
        settings=settings,
        namespace=namespace,
        default_runtime=configured or default_runtime(runtimes, host_python, read_requires_python(root)),
        is_default_set=configured is not None,
        available=runtimes,
        needed=needed,
        deployed=deployed,
        problems=problems,
    )
    problems.collected.extend(_scan_problems(report, builder.default_runtime, host_python))
    declared = declared_functions(settings, report, problems)
    functions = _build_functions(builder, settings, stage, declared)
    functions, groups = assign_groups(root, settings, stage, tuple(zip(declared, functions, strict=True)), problems)
    _check_uniqueness(functions, problems)
    has_python = not functions or any(runtime_language(function.runtime) == "Python" for function in functions)
    requirements = read_requirements(root, problems) if has_python else Requirements((), None)
    source_builds = _source_builds(settings, problems)
    included = read_included(root, settings, problems)
    problems.raise_if_any()
    return Project(
        root=root.resolve(),
        name=name,
        stage=stage,
        region=region,
        namespace=namespace,
        functions=tuple(sorted(functions, key=lambda function: natural_key(function.name))),
        requirements=requirements.lines,
        requirement_sources=requirements.sources,
        requirements_file=requirements.file,
        exclude=settings.table.exclude,
        source_builds=source_builds,
        included=included,
        dependency_groups=groups,
    )


def _configured_runtime(
    settings: Settings, stage: str, suggestion: str, problems: ProblemList | None
) -> str | None:
    """Return the default runtime of decorated handlers in the settings: the stage's, the project's, or ``None``.

    Args:
        settings: The settings.
        stage: The stage.
        suggestion: The runtime to suggest in place of a wrong one.
        problems: Receives the problem of a runtime of another language; ``None`` if no handler is decorated.
    """
    table = settings.table
    stage_runtime = table.stages[stage].defaults.runtime if stage in table.stages else None
    runtime = table.defaults.runtime if stage_runtime is None else stage_runtime
    if runtime is None:
        return None
    row = find_runtime(runtime)
    if row is None or row.language == "Python":
        return runtime
    if problems is None:
        return None
    path = ("defaults", "runtime") if stage_runtime is None else ("stages", stage, "defaults", "runtime")
    message = f"The default runtime applies to Python functions, and {runtime} is not a Python runtime."
    source = settings.location(*path)
    problems.add("runtime-language", message, f"Use {suggestion}.", source)
    return None


def _source_builds(settings: Settings, problems: ProblemList) -> tuple[str, ...]:
    """Return the normalized names of the packages to build; uv would read ``:all:`` as every package."""
    names: dict[str, None] = {}
    for index, name in enumerate(settings.table.source_builds):
        try:
            names[canonicalize_name(name, validate=True)] = None
        except InvalidName:
            message = f"source_builds: {name!r} is not the name of a package."
            hint = "List the packages to build one by one."
            problems.add("bad-package-name", message, hint, settings.location("source_builds", index))
    return tuple(names)


def _build_functions(
    builder: FunctionBuilder, settings: Settings, stage: str, declared: Iterable[DeclaredFunction]
) -> list[FunctionSpec]:
    """Merge each declared function with the project's and the stage's settings, and build it."""
    declared = list(declared)
    stage_table = settings.table.stages.get(stage, StageTable())
    defaults = merged_declaration(
        _validated_settings(settings.table.defaults, ("defaults",), "defaults", builder),
        _validated_settings(
            stage_table.defaults, ("stages", stage, "defaults"), f"defaults of stage {stage}", builder
        ),
    )
    _check_overrides(settings, declared, builder.problems)
    check_function_urls(settings, declared, builder.problems)
    specs: list[FunctionSpec] = []
    for function in declared:
        overrides = FunctionDeclaration(
            env=declared_env(stage_table.env) or None, secrets=stage_table.secrets or None
        )
        table = stage_table.functions.get(function.name)
        if table is not None:
            path = ("stages", stage, "functions", function.name)
            overrides = merged_declaration(
                _validated_settings(table, path, f"{function.name} in stage {stage}", builder), overrides
            )
        own, below = function.declaration, replace(defaults, runtime=None)
        if function.table_index is not None:
            # A default runtime of Python is for decorated handlers, which the builder gives it. Functions in
            # settings, which may be in another language, name their own.
            below = below if runtime_language(defaults.runtime or "python") == "Python" else defaults
            own_table = settings.table.function[function.table_index]
            own = _validated_settings(own_table, ("function", function.table_index), function.name, builder)
        complete = merged_declaration(below, own, overrides)
        specs.append(builder.build(function, complete))
    return specs


def _check_overrides(settings: Settings, declared: Iterable[DeclaredFunction], problems: ProblemList) -> None:
    """Check that stages override only functions that exist."""
    names = [function.name for function in declared]
    for stage, table in settings.table.stages.items():
        for name in table.functions:
            if name not in names:
                source = settings.location("stages", stage, "functions", name)
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
            message = f"{problem.message[:-1]} (parsed by {ours}, which is older than runtime {runtime})."
            yield replace(problem, code="syntax-newer-than-host", message=message, hint=hint)
        else:
            yield problem
