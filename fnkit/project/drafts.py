"""Converts functions declared by decorators and in settings to one unvalidated form, and merges declarations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.project.findings import Findings
from fnkit.project.model import Source
from fnkit.project.settings import CronTable, FunctionDefaults, Settings, TriggerTable
from fnkit.scanner.report import ScannedFunction, ScanReport, Signature

__all__ = ["Draft", "drafts_of", "given_by", "overlaid"]

_FIELDS: Final = tuple(field.name for field in fields(FunctionDeclaration))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One declared function, before validation.

    Attributes:
        name: Name of the deployed function.
        handler: The handler string, or ``None`` for the runtime's default.
        root: Folder of its code, relative to the project.
        table_index: Index in the settings' function tables, or ``None`` for a decorated handler.
        source: Where the function is declared.
        declaration: Its explicit settings.
        signature: ``None`` if unknown, which it always is for functions in settings.
        summary: First line of the handler's docstring, or ``""``.
    """

    name: str
    handler: str | None
    root: str
    index: int | None
    source: Source
    given: FunctionDeclaration
    crons: tuple[tuple[CronDeclaration, Source], ...]
    triggers: tuple[tuple[TriggerDeclaration, Source], ...]
    signature: Signature | None
    summary: str


def drafts_of(settings: Settings, report: ScanReport, findings: Findings) -> tuple[Draft, ...]:
    """Return all declared functions: decorated handlers first, then those in settings."""
    marked = [_from_scan(function, findings) for function in report.functions]
    return (*marked, *_from_settings(settings))


def given_by(table: FunctionDefaults) -> FunctionDeclaration:
    """Return the settings given in a table, as a declaration. Empty lists and tables count as not given."""
    values = {name: getattr(table, name, None) for name in _FIELDS}
    return FunctionDeclaration(**{name: value for name, value in values.items() if value not in ((), {}, None)})


def overlaid(*layers: FunctionDeclaration) -> FunctionDeclaration:
    """Merge declarations; later ones take precedence.

    Environment variables are merged by name, secrets and tags are combined, and all other settings are replaced.
    """
    result = FunctionDeclaration()
    for layer in layers:
        result = _over(result, layer)
    return result


def _over(below: FunctionDeclaration, above: FunctionDeclaration) -> FunctionDeclaration:
    changes: dict[str, object] = {name: value for name in _FIELDS if (value := getattr(above, name)) is not None}
    if below.env and above.env:
        changes["env"] = {**below.env, **above.env}
    if below.secrets and above.secrets:
        changes["secrets"] = tuple(dict.fromkeys((*below.secrets, *above.secrets)))
    if below.tags and above.tags:
        changes["tags"] = tuple(dict.fromkeys((*below.tags, *above.tags)))
    return replace(below, **changes)  # type: ignore[arg-type]  # each value comes from the field of its name


def _from_scan(function: ScannedFunction, findings: Findings) -> Draft:
    declaration = _merged(function, findings)
    return Draft(
        name=declaration.name if declaration.name is not None else function.python_name.replace("_", "-").lower(),
        handler=function.handler,
        root=".",
        index=None,
        source=Source(function.file, function.line),
        given=declaration,
        crons=tuple(
            (mark.declaration, Source(function.file, mark.line))
            for mark in function.marks
            if isinstance(mark.declaration, CronDeclaration)
        ),
        triggers=tuple(
            (mark.declaration, Source(function.file, mark.line))
            for mark in function.marks
            if isinstance(mark.declaration, TriggerDeclaration)
        ),
        signature=function.signature,
        summary=function.summary,
    )


def _merged(function: ScannedFunction, findings: Findings) -> FunctionDeclaration:
    """Merge the ``@function`` decorators of a handler, and report settings with conflicting values."""
    combined = FunctionDeclaration()
    for mark in function.marks:
        if not isinstance(mark.declaration, FunctionDeclaration):
            continue
        for name in _contradictions(combined, mark.declaration):
            findings.add(
                "conflicting-declarations",
                f"{function.python_name} has two different values for {name}.",
                "Keep one of them.",
                Source(function.file, mark.line),
            )
        combined = _over(combined, mark.declaration)
    return combined


def _contradictions(below: FunctionDeclaration, above: FunctionDeclaration) -> Iterator[str]:
    for name in _FIELDS:
        first, second = getattr(below, name), getattr(above, name)
        if first is None or second is None or first == second or name in ("secrets", "tags"):
            continue
        if name == "env":
            yield from (f"env {key}" for key in first if key in second and first[key] != second[key])
        else:
            yield name


def _from_settings(settings: Settings) -> Iterator[Draft]:
    for index, table in enumerate(settings.table.function):
        source = _at(settings, index)
        yield Draft(
            name=table.name,
            handler=table.handler,
            root=table.path.rstrip("/").removeprefix("./") or table.path,
            index=index,
            source=source,
            given=given_by(table),
            crons=tuple(
                (_cron(cron), _at(settings, index, "crons", position)) for position, cron in enumerate(table.crons)
            ),
            triggers=tuple(
                (_trigger(trigger), _at(settings, index, "triggers", position))
                for position, trigger in enumerate(table.triggers)
            ),
            signature=None,
            summary="",
        )


def _at(settings: Settings, index: int, *path: str | int) -> Source:
    return Source(settings.file, settings.lines.line("function", index, *path))


def _cron(table: CronTable) -> CronDeclaration:
    return CronDeclaration(schedule=table.schedule, args=table.args, name=table.name)


def _trigger(table: TriggerTable) -> TriggerDeclaration:
    return TriggerDeclaration(
        nats=table.nats,
        sqs=table.sqs,
        name=table.name,
        description=table.description,
        account=table.account,
        project_id=table.project_id,
        region=table.region,
    )
