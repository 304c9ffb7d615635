"""View of ``fnkit plan``, as text, JSON or Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fnkit.plan import Action, Change, CronChange, DomainChange, FunctionChange, Plan, PlanSummary, TriggerChange
from fnkit.plan.model import AttachedResourceChange

if TYPE_CHECKING:
    from rich.console import Console

_ACTION_STYLES = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.REPLACE: ("±", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.KEEP: (" ", "dim"),
}


_ATTACHED_RESOURCES = (CronChange, DomainChange, TriggerChange)


@dataclass(frozen=True, slots=True)
class PlanView:
    """The changes that a deploy would make.

    Args:
        plan: The plan.
        verbose: Whether the text includes unchanged resources.
        markdown: Whether the text is a Markdown table.
    """

    plan: Plan
    verbose: bool = False
    markdown: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``namespace, region, changes[{action, kind, name, reasons}], summary{…}, foreign, notes``."""
        return {
            "namespace": self.plan.namespace,
            "region": self.plan.region,
            "changes": [change_to_json(change) for change in self.plan.changes],
            "summary": msgspec.structs.asdict(self.plan.summary),
            "foreign": list(self.plan.foreign),
            "notes": [*self.plan.notes, *self.plan.renames],
        }

    def render(self, console: Console) -> None:
        """Print a line for each change with its reasons, and the summary."""
        if self.markdown:
            console.print(_markdown(self.plan))
            return
        shown = [change for change in self.plan.changes if self.verbose or change.action is not Action.KEEP]
        width = max((len(_qualified_name(change)) for change in shown), default=0)
        for change in shown:
            mark, style = _ACTION_STYLES[change.action]
            head = f"{mark} {change.action.value:<7} {_kind(change):<9} {_qualified_name(change):<{width}}"
            console.print(f"{head}  {'; '.join(_reasons(change))}".rstrip(), style=style)
        for note in (*self.plan.notes, *self.plan.renames):
            console.print(f"note: {note}", style="cyan")
        for resource in self.plan.foreign:
            console.print(f"not managed by fnkit, left unchanged: {resource}", style="dim")
        console.print(summary_line(self.plan.summary))


def summary_line(summary: PlanSummary) -> str:
    """Return the number of changes of each action as one sentence."""
    counts = msgspec.structs.asdict(summary)
    counted = [f"{number} to {action}" for action, number in counts.items() if number and action != Action.KEEP]
    if not counted:
        return f"No changes: all {summary.keep} resources are up to date."
    return ", ".join(counted) + (f", {summary.keep} unchanged." if summary.keep else ".")


def resource_line(change: AttachedResourceChange) -> str:
    """Return a deployed cron, domain or trigger with what was done, for example ``+ cron hourly  0 * * * *``."""
    mark, _ = _ACTION_STYLES[change.action]
    detail = ""
    if isinstance(change, CronChange) and change.settings is not None:
        detail = f"  {change.settings.schedule}"
    elif isinstance(change, TriggerChange) and change.settings is not None:
        detail = f"  {change.settings.source} {change.settings.address}"
    return f"{mark} {_kind(change)} {change.name}{detail}"


def change_to_json(change: Change) -> dict[str, object]:
    """Return ``action, kind, name, reasons``, and ``function`` of what belongs to one."""
    document: dict[str, object] = {
        "action": change.action.value,
        "kind": _kind(change),
        "name": change.name,
        "reasons": list(_reasons(change)),
    }
    if isinstance(change, _ATTACHED_RESOURCES):
        document["function"] = change.function
    return document


def _reasons(change: Change) -> tuple[str, ...]:
    """Return why it changes, and for a function that is deleted also what goes with it."""
    if isinstance(change, FunctionChange) and change.action is Action.DELETE and change.domain:
        return (*change.reasons, f"{change.domain} stops answering")
    return change.reasons


def _kind(change: Change) -> str:
    return str(change.__struct_config__.tag)


def _qualified_name(change: Change) -> str:
    return f"{change.function}/{change.name}" if isinstance(change, _ATTACHED_RESOURCES) else change.name


def _markdown(plan: Plan) -> str:
    lines = [f"### fnkit plan: `{plan.namespace}` in {plan.region}", ""]
    changed = [change for change in plan.changes if change.action is not Action.KEEP]
    if changed:
        lines += ["| | kind | name | why |", "|---|---|---|---|"]
        lines += [
            f"| {change.action.value} | {_kind(change)} | `{_qualified_name(change)}` "
            f"| {_escape_cell('; '.join(_reasons(change)))} |"
            for change in changed
        ]
        lines.append("")
    notes = (*plan.notes, *plan.renames)
    lines += [f"- {note}" for note in notes] + [""] * bool(notes)
    lines.append(summary_line(plan.summary))
    return "\n".join(lines)


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
