"""Views of ``fnkit deploy`` and ``fnkit destroy``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from fnkit.cli.errors import problem_to_json
from fnkit.cli.layout import (
    NAME_STYLE,
    URL_STYLE,
    Column,
    Row,
    print_commands,
    print_note,
    print_table,
    print_text,
    print_wrapped,
    safe_text,
    state_cell,
)
from fnkit.cli.output import json_fields
from fnkit.cli.views.plan import change_to_json, resource_text, summary_line
from fnkit.cli.views.problem import print_problem
from fnkit.contract.enums import Status
from fnkit.deploy.events import ApplyResult, FunctionResult
from fnkit.deploy.start_report import import_failure
from fnkit.errors import FnkitError
from fnkit.plan import Action
from fnkit.plan.model import AttachedResourceChange

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployView:
    """A finished deploy.

    Args:
        applied: The result of the deploy.
        urls: URL of each function by name, as this machine can open it.
        seconds: Duration of the deploy.
        next_commands: Commands to suggest.
    """

    applied: ApplyResult
    urls: Mapping[str, str]
    seconds: float
    next_commands: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``; a function that failed also has ``error``."""
        return {
            "functions": [self._function_to_json(one) for one in self.applied.functions],
            "summary": msgspec.structs.asdict(self.applied.plan.summary),
            "namespace": {"id": self.applied.namespace_id, "name": self.applied.plan.namespace},
            "uploaded_bytes": self.applied.uploaded_bytes,
            "failures": [problem_to_json(failure) for failure in self.applied.failures],
            "notes": list(self._notes()),
        }

    def render(self, console: Console) -> None:
        """Print each function, the notes, the failures with their hints, and the suggested commands."""
        print_table(
            console,
            (Column("FUNCTION", NAME_STYLE), Column("RESULT"), Column("URL", URL_STYLE)),
            [self._row(one) for one in self.applied.functions],
        )
        if self.applied.functions:
            console.print()
        for note in self._notes():
            print_note(console, note)
        for failure in self._distinct_failures():
            print_problem(console, failure.as_problem(), None)
        print_wrapped(console, self._last_sentence())
        if self.next_commands and not self.applied.failed:
            console.print()
            print_commands(console, "Try:", [(command, "") for command in self.next_commands])

    def _row(self, one: FunctionResult) -> Row:
        """Return the row of a function, with the crons, domains and triggers that changed."""
        if one.failure is not None:
            return Row((one.name, state_cell("failed"), ""))
        result = state_cell("unchanged" if one.action == Action.KEEP else f"{one.action}d")
        changes = tuple(resource_text(change) for change in self._resource_changes(one))
        return Row((one.name, result, self.urls.get(one.name, "")), changes)

    def _distinct_failures(self) -> tuple[FnkitError, ...]:
        """Return the failures, with one for all functions that the same module keeps from being imported."""
        names: dict[str, list[str]] = {}
        for one in self.applied.functions:
            if one.import_error:
                names.setdefault(one.import_error, []).append(one.name)
        imports = [import_failure(functions, error) for error, functions in names.items()]
        others = [one.failure for one in self.applied.functions if one.failure is not None and not one.import_error]
        return (*others, *imports, *self.applied.failures)

    def _last_sentence(self) -> Text:
        plan, sent = self.applied.plan, self.applied.uploaded_bytes
        if self.applied.failed:
            return Text("The deploy is incomplete.", "red")
        if plan.is_empty:
            return Text(summary_line(plan.summary))
        uploaded = f", {format_size(sent)} uploaded" if sent else ""
        return Text("Deployed ") + Text(plan.namespace, NAME_STYLE) + Text(f" in {self.seconds:.1f} s{uploaded}.")

    def _notes(self) -> tuple[str, ...]:
        return (*self.applied.plan.notes, *self.applied.plan.renames, *self.applied.notes)

    def _resource_changes(self, result: FunctionResult) -> tuple[AttachedResourceChange, ...]:
        """Return what was created, updated or deleted with a function; nothing if its deploy failed."""
        if result.status != Status.READY:
            return ()
        return tuple(
            change for change in self.applied.plan.attached_changes(result.name) if change.action is not Action.KEEP
        )

    def _function_to_json(self, result: FunctionResult) -> dict[str, object]:
        document: dict[str, object] = {
            **json_fields(result, "name", "action", "status"),
            "url": self.urls.get(result.name, ""),
            **json_fields(result, "domain", "digest"),
            "seconds": round(result.seconds, 3),
            "resources": [change_to_json(change) for change in self._resource_changes(result)],
        }
        if result.failure is not None:
            document["error"] = problem_to_json(result.failure)
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyView:
    """The resources that were deleted.

    Args:
        deleted: Kind and name of each resource.
        failures: The failures.
        notes: The resources that were kept, with the reason.
    """

    deleted: tuple[tuple[str, str], ...]
    failures: tuple[FnkitError, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return ``deleted[{kind, name}], failures[…], notes[…]``."""
        return {
            "deleted": [{"kind": kind, "name": name} for kind, name in self.deleted],
            "failures": [problem_to_json(failure) for failure in self.failures],
            "notes": list(self.notes),
        }

    def render(self, console: Console) -> None:
        """Print a line for each resource, failure and note."""
        for kind, name in self.deleted:
            print_text(
                console,
                Text("- ", "red") + Text(f"{kind} ") + safe_text(name, NAME_STYLE) + Text("  deleted", "red"),
            )
        for failure in self.failures:
            print_problem(console, failure.as_problem(), None)
        for note in self.notes:
            print_note(console, note)
        if not self.deleted and not self.failures:
            print_wrapped(console, "There are no resources of this project and stage to delete.")


def format_size(size: int) -> str:
    """Return a size in bytes as text, with a unit.

    >>> format_size(1536)
    '1.5 kB'
    """
    kilobyte = 1024
    if size < kilobyte:
        return f"{size} B"
    if size < kilobyte**2:
        return f"{size / kilobyte:.1f} kB"
    return f"{size / kilobyte**2:.1f} MB"
