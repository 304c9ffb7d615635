"""View of ``fnkit plan``, as text, JSON or Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from fnkit.cli.layout import NAME_STYLE, joined, print_commands, print_note, print_text, print_wrapped, safe_text
from fnkit.contract.text import escape_control_characters
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
_FUNCTION_INDENT = 2
_ATTACHED_INDENT = 4
_REASON_INDENT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """The changes that a deploy would make.

    Args:
        plan: The plan.
        platform: Where it would be applied, such as ``Scaleway``.
        apply_command: The command that applies it.
        verbose: Whether the text includes unchanged resources.
        markdown: Whether the text is a Markdown table.
    """

    plan: Plan
    platform: str
    apply_command: str
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
        """Print where it goes, the changes with their reasons, the summary, and the command that applies it."""
        if self.markdown:
            console.print(_markdown(self.plan))
            return
        if not self.plan.is_empty:
            print_wrapped(console, _heading(self.plan, self.platform))
            console.print()
        self._render_changes(console)
        for note in (*self.plan.notes, *self.plan.renames):
            print_note(console, note)
        for resource in self.plan.foreign:
            print_wrapped(console, Text(f"not managed by fnkit, left unchanged: {resource}", "dim"), hanging=2)
        print_wrapped(console, summary_line(self.plan.summary))
        if not self.plan.is_empty:
            console.print()
            print_commands(console, "Apply it with:", ((self.apply_command, ""),))

    def _render_changes(self, console: Console) -> None:
        shown = [
            (change, indent)
            for change, indent in _grouped(self.plan)
            if self.verbose or change.action is not Action.KEEP or self._has_changed_resources(change)
        ]
        width = max((indent + len(_title(change)) for change, indent in shown), default=0)
        for change, indent in shown:
            _render_change(console, change, indent=indent, width=width)
        if shown:
            console.print()

    def _has_changed_resources(self, change: Change) -> bool:
        return isinstance(change, FunctionChange) and any(
            one.action is not Action.KEEP for one in self.plan.attached_changes(change.name)
        )


def _heading(plan: Plan, platform: str) -> Text:
    heading = Text("Plan for ") + Text(plan.namespace, NAME_STYLE)
    if plan.stage:
        heading.append(f" (stage {plan.stage})")
    return heading.append(f" in {plan.region} on {platform}")


def _grouped(plan: Plan) -> Iterator[tuple[Change, int]]:
    """Return the changes with their indents: crons, domains and triggers follow their function."""
    functions = {change.name for change in plan.changes if isinstance(change, FunctionChange)}
    for change in plan.changes:
        if not isinstance(change, _ATTACHED_RESOURCES):
            yield change, _FUNCTION_INDENT
            if isinstance(change, FunctionChange):
                yield from ((one, _ATTACHED_INDENT) for one in plan.attached_changes(change.name))
        elif change.function not in functions:
            yield change, _FUNCTION_INDENT


def _render_change(console: Console, change: Change, *, indent: int, width: int) -> None:
    """Print a change with its reasons: in the same line if they fit, otherwise each on a line of its own."""
    mark, style = _ACTION_STYLES[change.action]
    padding = " " * (width - indent - len(_title(change)))
    kind, _, name = _title(change).partition(" ")
    head = Text(" " * indent) + Text(f"{mark} {kind} ", style) + Text(name, NAME_STYLE)
    known = [reason for reason in _reasons(change) if reason != "new"]  # which the mark says
    reasons = [escape_control_characters(reason, multiline=True) for reason in (*_details(change), *known)]
    together = head + Text(f"{padding}  {'; '.join(reasons)}", "dim" if change.action is Action.KEEP else "")
    if together.cell_len <= console.width:
        print_text(console, together)
        return
    print_text(console, head)
    for reason in reasons:
        print_wrapped(console, reason, indent=indent + _REASON_INDENT, hanging=2)


def summary_line(summary: PlanSummary) -> str:
    """Return the number of changes of each action as one sentence."""
    counts = msgspec.structs.asdict(summary)
    counted = [f"{number} to {action}" for action, number in counts.items() if number and action != Action.KEEP]
    if not counted:
        return f"No changes: all {summary.keep} resources are up to date."
    return ", ".join(counted) + (f", {summary.keep} unchanged." if summary.keep else ".")


def resource_text(change: AttachedResourceChange) -> Text:
    """Return a deployed cron, domain or trigger with what was done, for example ``+ cron hourly  0 * * * *``."""
    mark, style = _ACTION_STYLES[change.action]
    text = joined(Text(f"{mark} {_kind(change)} ", style), safe_text(change.name, NAME_STYLE))
    details = "  ".join(_details(change))
    return text + Text(f"  {escape_control_characters(details)}") if details else text


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


def _details(change: Change) -> tuple[str, ...]:
    """Return what is created: the schedule of a cron, the address of a trigger, the size of a function."""
    if change.action not in (Action.CREATE, Action.REPLACE):
        return ()
    if isinstance(change, FunctionChange) and change.settings is not None and change.action is Action.CREATE:
        return (f"{change.settings.runtime}, {change.settings.memory} MB",)
    if isinstance(change, CronChange) and change.settings is not None:
        return (change.settings.schedule,)
    if isinstance(change, TriggerChange) and change.settings is not None:
        return (f"{change.settings.source} {change.settings.address}",)
    return ()


def _kind(change: Change) -> str:
    return str(change.__struct_config__.tag)


def _title(change: Change) -> str:
    return f"{_kind(change)} {escape_control_characters(change.name)}"


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
