"""Converts functions declared by decorators and in settings to one unvalidated form, and merges declarations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import PurePosixPath
from typing import Final

from msgspec.structs import asdict

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.project.model import SourceLocation
from fnkit.project.problems import ProblemList
from fnkit.project.settings import FunctionDefaults, Settings
from fnkit.scanner.report import ScannedFunction, ScanReport, Signature

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
        source: Where the function is declared.
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
    source: SourceLocation
    declaration: FunctionDeclaration
    build: DeclaredBuild | None
    crons: tuple[tuple[CronDeclaration, SourceLocation], ...]
    triggers: tuple[tuple[TriggerDeclaration, SourceLocation], ...]
    signature: Signature | None
    summary: str
    is_application: bool = False


def declared_functions(
    settings: Settings, report: ScanReport, problems: ProblemList
) -> tuple[DeclaredFunction, ...]:
    """Return all declared functions: decorated handlers first, then those in settings."""
    marked = [_from_decorators(function, problems) for function in report.functions]
    return (*marked, *_from_settings(settings))


def explicit_settings(table: FunctionDefaults) -> FunctionDeclaration:
    """Return the settings given in a table, as a declaration. Empty lists and tables count as not given."""
    values = {name: getattr(table, name, None) for name in _FIELD_NAMES}
    return FunctionDeclaration(**{name: value for name, value in values.items() if value not in ((), {}, None)})


def merged_declaration(*layers: FunctionDeclaration) -> FunctionDeclaration:
    """Merge declarations; later ones take precedence.

    Environment variables are merged by name, secrets and tags are combined, and all other settings are replaced.
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
    return replace(below, **changes)  # type: ignore[arg-type]  # each value comes from the field of its name


def _from_decorators(function: ScannedFunction, problems: ProblemList) -> DeclaredFunction:
    declaration = _merged_function_decorators(function, problems)
    marks = [(mark.declaration, SourceLocation(function.file, mark.line)) for mark in function.declarations]
    return DeclaredFunction(
        name=declaration.name if declaration.name is not None else function.python_name.replace("_", "-").lower(),
        handler=function.handler,
        root=".",
        table_index=None,
        source=SourceLocation(function.file, function.line),
        declaration=declaration,
        build=None,
        crons=tuple((one, source) for one, source in marks if isinstance(one, CronDeclaration)),
        triggers=tuple((one, source) for one, source in marks if isinstance(one, TriggerDeclaration)),
        signature=function.signature,
        summary=function.summary,
        is_application=function.is_application,
    )


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
                SourceLocation(function.file, mark.line),
            )
        combined = _merge_two(combined, mark.declaration)
    return combined


def _conflicting_settings(below: FunctionDeclaration, above: FunctionDeclaration) -> Iterator[str]:
    for name in _FIELD_NAMES:
        first, second = getattr(below, name), getattr(above, name)
        if first is None or second is None or first == second or name in ("secrets", "tags"):
            continue
        if name == "env":
            yield from (f"env {key}" for key in first if key in second and first[key] != second[key])
        else:
            yield name


def _from_settings(settings: Settings) -> Iterator[DeclaredFunction]:
    for index, table in enumerate(settings.table.function):
        source = settings.location("function", index)
        yield DeclaredFunction(
            name=table.name,
            handler=table.handler,
            root=PurePosixPath(table.path).as_posix(),
            table_index=index,
            source=source,
            declaration=explicit_settings(table),
            build=DeclaredBuild(table.build, table.build_inputs, table.build_output),
            crons=tuple(
                (CronDeclaration(**asdict(cron)), settings.location("function", index, "crons", position))
                for position, cron in enumerate(table.crons)
            ),
            triggers=tuple(
                (TriggerDeclaration(**asdict(trigger)), settings.location("function", index, "triggers", position))
                for position, trigger in enumerate(table.triggers)
            ),
            signature=None,
            summary="",
        )
