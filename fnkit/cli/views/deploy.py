"""Views of ``fnkit deploy`` and ``fnkit destroy``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fnkit.cli.errors import problem_label, problem_to_json
from fnkit.cli.output import json_fields
from fnkit.cli.views.plan import change_to_json, resource_line, summary_line
from fnkit.contract.enums import Status
from fnkit.deploy.events import ApplyResult, FunctionResult
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
        if self.applied.plan.is_empty:
            console.print(summary_line(self.applied.plan.summary))
        self._render_functions(console)
        for note in self._notes():
            console.print(f"note: {note}", style="cyan")
        for failure in self.applied.all_failures:
            console.print(f"{problem_label(failure)} {failure.message}", style="red")
            if failure.hint:
                console.print(f"  hint: {failure.hint}", style="cyan")
        if not self.applied.plan.is_empty:
            sent = self.applied.uploaded_bytes
            uploaded = f", {format_size(sent)} uploaded" if sent else ""
            console.print(
                f"Done in {self.seconds:.1f} s{uploaded}."
                if not self.applied.failed
                else "The deploy is incomplete."
            )
        if self.next_commands and not self.applied.failed:
            console.print("\nTry:")
            for command in self.next_commands:
                console.print(f"  {command}", style="bold")

    def _render_functions(self, console: Console) -> None:
        """Print each function, with the crons, domains and triggers that changed."""
        width = max((len(one.name) for one in self.applied.functions), default=0)
        for one in self.applied.functions:
            if one.failure is None:
                what = "unchanged" if one.action == Action.KEEP else f"{one.action}d"
                style = "dim" if one.action == Action.KEEP else "green"
                console.print(
                    f"  {one.name:<{width}}  {what:<9}  {self.urls.get(one.name, '')}".rstrip(), style=style
                )
                for change in self._resource_changes(one):
                    console.print(f"    {resource_line(change)}", style="dim")
            else:
                console.print(f"  {one.name:<{width}}  failed", style="red")

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
            console.print(f"- deleted {kind} {name}", style="red")
        for failure in self.failures:
            console.print(f"{problem_label(failure)} {failure.message}", style="red")
        for note in self.notes:
            console.print(f"note: {note}", style="cyan")
        if not self.deleted and not self.failures:
            console.print("There are no resources of this project and stage to delete.")


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
