"""Views of ``fnkit explain``: one error code, and the list of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.error_table import ErrorExplanation

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
        console.print(self.explanation.code, style="bold")
        for heading, texts in (("Meaning", self.explanation.meanings), ("What to do", self.explanation.remedies)):
            console.print(f"\n{heading}:")
            for text in texts:
                console.print(f"  {text}")


@dataclass(frozen=True, slots=True)
class ErrorCodesView:
    """All error codes."""

    explanations: tuple[ErrorExplanation, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``codes[{code, meanings, remedies}]``."""
        return {"codes": [_to_json(one) for one in self.explanations]}

    def render(self, console: Console) -> None:
        """Print a line for each code, with its first meaning."""
        width = max(len(one.code) for one in self.explanations)
        for one in self.explanations:
            console.print(f"{one.code:<{width}}  {one.meanings[0]}")


def _to_json(explanation: ErrorExplanation) -> dict[str, object]:
    return {
        "code": explanation.code,
        "meanings": list(explanation.meanings),
        "remedies": list(explanation.remedies),
    }
