"""The list that collects a project's problems. ``docs/errors.md`` explains their codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from fnkit.errors import Problem, ProjectInvalid
from fnkit.project.model import DeclarationSource, SourceLocation


@dataclass(slots=True)
class ProblemList:
    """The problems found so far.

    A check that finds a problem adds it and returns the setting's default, so that validation continues.
    """

    collected: list[Problem] = field(default_factory=list)

    def add(self, code: str, message: str, hint: str | None, source: SourceLocation) -> None:
        """Add a problem at a source location."""
        self.collected.append(source.problem(code, message, hint))

    def add_duplicates(self, kind: str, subject: str, named: Iterable[tuple[str, SourceLocation]]) -> None:
        """Add a ``duplicate-<kind>`` problem for each repeated name, with the location of its first use."""
        first: dict[str, SourceLocation] = {}
        for name, source in named:
            earlier = first.setdefault(name, source)
            if earlier is not source:
                message = f"{subject} has two {kind}s named {name}; the other is in {earlier.file}:{earlier.line}."
                self.add(f"duplicate-{kind}", message, "Rename one of them.", source)

    def raise_if_any(self) -> None:
        """Raise if there are problems.

        Raises:
            ProjectInvalid: With the problems sorted by file and line, without duplicates.
        """
        if self.collected:
            ordered = sorted(dict.fromkeys(self.collected), key=lambda one: (one.file or "", one.line or 0))
            raise ProjectInvalid(tuple(ordered))


@dataclass(frozen=True, slots=True)
class Subject:
    """What problems are about, such as a function or a table of settings: its name, and where it is declared."""

    name: str
    declared: DeclarationSource
    problems: ProblemList

    def __str__(self) -> str:
        """Return the name, with which each message starts."""
        return self.name

    @property
    def source(self) -> SourceLocation:
        """Where it is declared."""
        return self.declared.whole

    def add(self, code: str, message: str, hint: str | None = None, *, setting: str = "") -> None:
        """Add a problem, at the place of the setting that is at fault if one is."""
        self.problems.add(code, message, hint, self.declared.of(setting))


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """Return a hint with the closest known value, or ``None`` if none is close."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else None
