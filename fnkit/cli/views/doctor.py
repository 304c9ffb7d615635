"""View of ``fnkit doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.checks.model import Check
from fnkit.cli.output import json_fields

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


@dataclass(frozen=True, slots=True)
class DoctorView:
    """The results of all checks."""

    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``checks[{name, ok, detail, hint, needed}]``; the hint is null if the check is ok."""
        return {
            "checks": [
                {
                    **json_fields(one, "name", "ok", "detail"),
                    "hint": None if one.ok else one.hint,
                    "needed": one.is_needed,
                }
                for one in self.checks
            ]
        }

    def render(self, console: Console) -> None:
        """Print a line for each check, with a hint below those that are not ok."""
        from rich.text import Text

        width = max(len(one.name) for one in self.checks)
        for one in self.checks:
            verdict = "ok" if one.ok else "failed" if one.is_needed else "warning"
            console.print(Text(f"{verdict:<7}", _STYLES[verdict]), f" {one.name:<{width}}  {one.detail}", sep="")
            if not one.ok and one.hint:
                console.print(f"{'':<{width + 10}}{one.hint}", style="cyan")
        failed = sum(one.has_failed for one in self.checks)
        warnings = sum(not one.ok for one in self.checks) - failed
        if not failed and not warnings:
            console.print("Everything is as it should be.")
            return
        counts = [(failed, "failure"), (warnings, "warning")]
        shown = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
        console.print(f"{', '.join(shown)}.")
