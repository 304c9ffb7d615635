"""View of ``fnkit scan``: the functions of a project with all their settings, and its problems."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.cli.errors import problem_to_json
from fnkit.cli.layout import (
    NAME_STYLE,
    Column,
    Row,
    counted,
    joined,
    print_note,
    print_table,
    print_wrapped,
    safe_text,
)
from fnkit.cli.output import json_fields
from fnkit.cli.views.problem import print_problem
from fnkit.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.project import FunctionSpec
    from fnkit.scanner import ScannedFunction

_NANOSECONDS = 1_000_000_000
_COLUMNS: Final = (
    Column("FUNCTION", NAME_STYLE),
    Column("RUNTIME"),
    Column("HANDLER"),
    Column("DECLARED IN", "dim"),
    Column("INVOKED BY"),
)


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """One function in both forms.

    Args:
        document: Its JSON object.
        cells: Its cells in the table: name, runtime, handler, location, and crons and triggers.
        notes: Sentences about it.
    """

    document: Mapping[str, object]
    cells: tuple[str, str, str, str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SchemaView:
    """The JSON Schema of the settings."""

    text: str

    def to_json(self) -> dict[str, object]:
        """Return the schema."""
        document: dict[str, object] = json.loads(self.text)
        return document

    def render(self, console: Console) -> None:
        """Print the schema as it is."""
        console.print(self.text.rstrip())


@dataclass(frozen=True, slots=True)
class ScanView:
    """The functions of a project, from ``row_from_spec`` or ``row_from_declarations``, its problems, and notes."""

    root: Path
    functions: tuple[FunctionRow, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return ``functions[…], problems[{code,message,hint,file,line}], notes[…]``."""
        return {
            "functions": [dict(function.document) for function in self.functions],
            "notes": list(self._all_notes()),
            "problems": [problem_to_json(problem) for problem in self.problems],
        }

    def render(self, console: Console) -> None:
        """Print a table of functions with their crons and triggers, and the problems."""
        print_table(console, _COLUMNS, [Row(function.cells) for function in self.functions])
        if self.functions:
            console.print()
        for note in self._all_notes():
            print_note(console, note)
        for problem in self.problems:
            print_problem(console, problem, self.root, word="problem")
            console.print()
        count = counted(len(self.problems), "problem")
        problems = (", ", safe_text(count, "red")) if self.problems else ()
        print_wrapped(console, joined(counted(len(self.functions), "function"), *problems, f" in {self.root}"))

    def _all_notes(self) -> tuple[str, ...]:
        return (*(note for function in self.functions for note in function.notes), *self.notes)


def row_from_spec(spec: FunctionSpec) -> FunctionRow:
    """Return the row of a valid function, with every setting as deployed; ``timeout`` is in seconds."""
    fires = [f"cron {cron.schedule}" for cron in spec.crons]
    fires += [f"{trigger.kind} {trigger.address}" for trigger in spec.triggers]
    document: dict[str, object] = {
        **json_fields(spec, "name", "handler", "runtime"),
        "source": json_fields(spec.source, "file", "line"),
        **json_fields(spec, "memory", "min_scale", "max_scale"),
        "timeout": spec.timeout / _NANOSECONDS,
        **json_fields(spec, "privacy", "http_option", "sandbox", "description"),
        "env": {**spec.env, **{name: {"url_of": function} for name, function in spec.function_urls.items()}},
        **json_fields(spec, "secrets", "tags", "groups", "domains", "private_network_id"),
        "crons": [{"name": cron.name, "schedule": cron.schedule, "args": dict(cron.args)} for cron in spec.crons],
        "triggers": [
            {"name": trigger.name, trigger.kind: trigger.address, "description": trigger.description}
            for trigger in spec.triggers
        ],
    }
    place = f"{spec.source.file}:{spec.source.line}"
    cells = (spec.name, spec.runtime, spec.user_handler, place, ", ".join(fires))
    return FunctionRow(document, cells, spec.notes)


def row_from_declarations(function: ScannedFunction) -> FunctionRow:
    """Return the row of a function of an invalid project.

    The values are the unchecked arguments of its decorators, or null where an argument is missing.
    """
    declarations = [mark.declaration for mark in function.declarations]
    own = next((found for found in declarations if isinstance(found, FunctionDeclaration)), FunctionDeclaration())
    crons = [found for found in declarations if isinstance(found, CronDeclaration)]
    triggers = [found for found in declarations if isinstance(found, TriggerDeclaration)]
    name = own.name or function.python_name.replace("_", "-")
    document: dict[str, object] = {
        "name": name,
        "handler": function.handler,
        "runtime": own.runtime,
        "source": json_fields(function, "file", "line"),
        "crons": [json_fields(cron, "name", "schedule") for cron in crons],
        "triggers": [
            {"name": found.name, "nats" if found.nats is not None else "sqs": found.nats or found.sqs}
            for found in triggers
        ],
    }
    fires = [f"cron {cron.schedule}" for cron in crons]
    fires += [
        f"{kind} {address}"
        for found in triggers
        for kind, address in (("nats", found.nats), ("sqs", found.sqs))
        if address is not None
    ]
    place = f"{function.file}:{function.line}"
    return FunctionRow(document, (name, own.runtime or "", function.handler, place, ", ".join(fires)))
