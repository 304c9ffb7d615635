"""Where checks put what they find, so that all of a project's problems are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from fnkit.errors import Problem, ProjectInvalid
from fnkit.project.model import Source

__all__ = ["Findings", "did_you_mean"]


@dataclass(slots=True)
class Findings:
    """The problems found so far. A check adds to it and goes on with the documented default."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, code: str, message: str, hint: str | None, source: Source) -> None:
        """Add one problem."""
        self.problems.append(Problem(code, message, hint, source.file, source.line))

    def tell_duplicates(self, kind: str, subject: str, named: Iterable[tuple[str, Source]]) -> None:
        """Add a ``duplicate-<kind>`` for each name that was used before, with the place of the first."""
        first: dict[str, Source] = {}
        for name, source in named:
            earlier = first.setdefault(name, source)
            if earlier is not source:
                message = f"{subject} has two {kind}s called {name}; the other is in {earlier.file}:{earlier.line}."
                self.add(f"duplicate-{kind}", message, "Give one of them another name.", source)

    def raise_if_any(self) -> None:
        """Raise ``ProjectInvalid`` with everything found, by file and line, each once."""
        if self.problems:
            ordered = sorted(dict.fromkeys(self.problems), key=lambda one: (one.file or "", one.line or 0))
            raise ProjectInvalid(tuple(ordered))


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known word, or ``None`` when none is near."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else None
