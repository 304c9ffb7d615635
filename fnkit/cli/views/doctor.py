"""View of ``fnkit doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fnkit.cli.checks.model import Check
from fnkit.cli.layout import NAME_STYLE, Column, Row, counted, joined, print_table, print_wrapped, safe_text
from fnkit.cli.output import json_fields

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "red"}
_COLUMNS: Final = (Column("RESULT"), Column("CHECK", NAME_STYLE), Column("FOUND", wraps=True))


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
        """Print a row for each check, with a hint below those that are not ok."""
        print_table(console, _COLUMNS, [_row(one) for one in self.checks])
        console.print()
        print_wrapped(console, self._summary())

    def _summary(self) -> Text:
        failed = sum(one.has_failed for one in self.checks)
        warnings = sum(not one.ok for one in self.checks) - failed
        if not failed and not warnings:
            return joined(safe_text("✓", "green"), " Everything works.")
        counts = [(failed, "failure", "red"), (warnings, "warning", "yellow")]
        shown = [safe_text(counted(count, word), style) for count, word, style in counts if count]
        return joined(safe_text(", ").join(shown), ".")


def _row(one: Check) -> Row:
    verdict = "ok" if one.ok else "failed" if one.is_needed else "warning"
    hint = () if one.ok or not one.hint else (joined(safe_text("hint: ", "bold cyan"), one.hint),)
    return Row((safe_text(verdict, _STYLES[verdict]), one.name, one.detail), hint)
