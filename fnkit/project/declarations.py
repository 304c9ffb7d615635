"""Converts functions declared by decorators and in settings to one unvalidated form, and merges declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Final

from msgspec.structs import asdict

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.authoring.function_url import FunctionUrl
from fnkit.project.model import DeclarationSource, SourceLocation
from fnkit.project.problems import ProblemList
from fnkit.project.settings import FunctionDefaults, FunctionUrlTable, Settings
from fnkit.scanner.report import LocatedDeclaration, ScannedFunction, ScanReport, Signature
from fnkit.scanner.spans import Span

_FIELD_NAMES: Final = tuple(field.name for field in fields(FunctionDeclaration))


@dataclass(frozen=True, slots=True)
class DeclaredBuild:
    """The settings of a function's build; ``None`` and an empty tuple are not given."""

    command: str | None
    inputs: tuple[str, ...]
    output: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredFunction:
    """One declared function, before validation.

    Attributes:
        name: Name of the deployed function.
        handler: The handler string, or ``None`` for the runtime's default.
        root: Folder of its code, relative to the project.
        table_index: Index in the settings' function tables, or ``None`` for a decorated handler.
        declared: Where the function is declared, and its settings.
        declaration: Its explicit settings.
        build: Its ``build``, ``build_inputs`` and ``build_output``, or ``None`` for a decorated handler.
        signature: ``None`` if unknown, which it always is for functions in settings.
        summary: First line of the handler's docstring, or ``""``.
        is_application: Whether it is an object that was marked by a call.
    """

    name: str
    handler: str | None
    root: str
    table_index: int | None
    declared: DeclarationSource
    declaration: FunctionDeclaration
    build: DeclaredBuild | None
    crons: tuple[tuple[CronDeclaration, DeclarationSource], ...]
    triggers: tuple[tuple[TriggerDeclaration, DeclarationSource], ...]
    signature: Signature | None
    summary: str
    is_application: bool = False

    @property
    def source(self) -> SourceLocation:
        """Where the function is declared."""
        return self.declared.whole


def declared_functions(
    settings: Settings, report: ScanReport, problems: ProblemList
) -> tuple[DeclaredFunction, ...]:
    """Return all declared functions: decorated handlers first, then those in settings."""
    marked = [_from_decorators(function, problems) for function in report.functions]
    return (*marked, *_from_settings(settings))


def explicit_settings(table: FunctionDefaults) -> FunctionDeclaration:
    """Return the settings given in a table, as a declaration. Empty lists and tables count as not given."""
    values = {name: getattr(table, name, None) for name in _FIELD_NAMES} | {"env": declared_env(table.env)}
    return FunctionDeclaration(**{name: value for name, value in values.items() if value not in ((), {}, None)})


def declared_env(env: Mapping[str, str | FunctionUrlTable]) -> dict[str, str | FunctionUrl]:
    """Return the variables of a table as a decorator has them."""
    return {
        name: FunctionUrl(value.url_of) if isinstance(value, FunctionUrlTable) else value
        for name, value in env.items()
    }


def merged_declaration(*layers: FunctionDeclaration) -> FunctionDeclaration:
    """Merge declarations; later ones take precedence.

    Environment variables are merged by name. Secrets, tags and groups are combined. Other settings are replaced.
    """
    result = FunctionDeclaration()
    for layer in layers:
        result = _merge_two(result, layer)
    return result


def _merge_two(below: FunctionDeclaration, above: FunctionDeclaration) -> FunctionDeclaration:
    changes: dict[str, object] = {
        name: value for name in _FIELD_NAMES if (value := getattr(above, name)) is not None
    }
    if below.env and above.env:
        changes["env"] = {**below.env, **above.env}
    if below.secrets and above.secrets:
        changes["secrets"] = tuple(dict.fromkeys((*below.secrets, *above.secrets)))
    if below.tags and above.tags:
        changes["tags"] = tuple(dict.fromkeys((*below.tags, *above.tags)))
    if below.groups and above.groups:
        changes["groups"] = tuple(dict.fromkeys((*below.groups, *above.groups)))
    return replace(below, **changes)  # type: ignore[arg-type]  # each value comes from the field of its name


def _from_decorators(function: ScannedFunction, problems: ProblemList) -> DeclaredFunction:
    declaration = _merged_function_decorators(function, problems)
    marks = [(mark.declaration, _declared(function.file, mark)) for mark in function.declarations]
    # The settings of several @function are one declaration; a setting stands where it is given first.
    settings = {
        name: source
        for one, declared in reversed(marks)
        if isinstance(one, FunctionDeclaration)
        for name, source in declared.settings.items()
    }
    return DeclaredFunction(
        name=declaration.name if declaration.name is not None else function.python_name.replace("_", "-").lower(),
        handler=function.handler,
        root=".",
        table_index=None,
        declared=DeclarationSource(_location(function.file, function.span), settings),
        declaration=declaration,
        build=None,
        crons=tuple((one, declared) for one, declared in marks if isinstance(one, CronDeclaration)),
        triggers=tuple((one, declared) for one, declared in marks if isinstance(one, TriggerDeclaration)),
        signature=function.signature,
        summary=function.summary,
        is_application=function.is_application,
    )


def _location(file: str, span: Span) -> SourceLocation:
    return SourceLocation(file, span.line, span.column, span.end_column)


def _declared(file: str, mark: LocatedDeclaration) -> DeclarationSource:
    settings = {name: _location(file, span) for name, span in mark.arguments.items()}
    return DeclarationSource(_location(file, mark.span), settings)


def _merged_function_decorators(function: ScannedFunction, problems: ProblemList) -> FunctionDeclaration:
    """Merge the ``@function`` decorators of a handler, and report settings with conflicting values."""
    combined = FunctionDeclaration()
    for mark in function.declarations:
        if not isinstance(mark.declaration, FunctionDeclaration):
            continue
        for name in _conflicting_settings(combined, mark.declaration):
            problems.add(
                "conflicting-declarations",
                f"{function.python_name} has two different values for {name}.",
                "Keep one of them.",
                _declared(function.file, mark).of(name.partition(" ")[0]),
            )
        combined = _merge_two(combined, mark.declaration)
    return combined


def _conflicting_settings(below: FunctionDeclaration, above: FunctionDeclaration) -> Iterator[str]:
    for name in _FIELD_NAMES:
        first, second = getattr(below, name), getattr(above, name)
        if first is None or second is None or first == second or name in ("secrets", "tags", "groups"):
            continue
        if name == "env":
            yield from (f"env {key}" for key in first if key in second and first[key] != second[key])
        else:
            yield name


def _from_settings(settings: Settings) -> Iterator[DeclaredFunction]:
    for index, table in enumerate(settings.table.function):
        yield DeclaredFunction(
            name=table.name,
            handler=table.handler,
            root=PurePosixPath(table.path).as_posix(),
            table_index=index,
            declared=settings.declared("function", index),
            declaration=explicit_settings(table),
            build=DeclaredBuild(table.build, table.build_inputs, table.build_output),
            crons=tuple(
                (CronDeclaration(**asdict(cron)), settings.declared("function", index, "crons", position))
                for position, cron in enumerate(table.crons)
            ),
            triggers=tuple(
                (TriggerDeclaration(**asdict(trigger)), settings.declared("function", index, "triggers", position))
                for position, trigger in enumerate(table.triggers)
            ),
            signature=None,
            summary="",
        )
