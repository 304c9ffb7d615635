"""Views of ``fnkit explain``: one error code, and the list of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.error_table import ErrorExplanation
from fnkit.cli.layout import NAME_STYLE, Column, Row, print_table, print_wrapped, safe_text

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class ErrorExplanationView:
    """The explanation of one error code."""

    explanation: ErrorExplanation

    def to_json(self) -> dict[str, object]:
        """Return ``code, meanings[…], remedies[…]``."""
        return _to_json(self.explanation)

    def render(self, console: Console) -> None:
        """Print the code, what it means and what to do."""
        print_wrapped(console, safe_text(self.explanation.code, NAME_STYLE))
        for heading, texts in (("Meaning", self.explanation.meanings), ("What to do", self.explanation.remedies)):
            print_wrapped(console, safe_text(f"\n{heading}", "dim"))
            for text in texts:
                print_wrapped(console, text, indent=2, hanging=2)


@dataclass(frozen=True, slots=True)
class ErrorCodesView:
    """All error codes."""

    explanations: tuple[ErrorExplanation, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``codes[{code, meanings, remedies}]``."""
        return {"codes": [_to_json(one) for one in self.explanations]}

    def render(self, console: Console) -> None:
        """Print a table of the codes, each with its first meaning."""
        rows = [Row((one.code, one.meanings[0])) for one in self.explanations]
        print_table(console, (Column("CODE", NAME_STYLE), Column("MEANING", wraps=True)), rows)


def _to_json(explanation: ErrorExplanation) -> dict[str, object]:
    return {
        "code": explanation.code,
        "meanings": list(explanation.meanings),
        "remedies": list(explanation.remedies),
    }
