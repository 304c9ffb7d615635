"""A problem as text: what is wrong, the place and its source line, and what to do.

One layout for errors on stderr and for the problems that a view prints::

    error[bad-schedule]: cleanup: '61' is out of range: minute must be from 0 to 59.
      --> shop/orders.py:12:7
       |
    12 | @cron("61 * * * *")
       |       ^^^^^^^^^^^^
      hint: Schedules are in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.excerpt import Excerpt, read_excerpt
from fnkit.cli.wrapping import cell_width, wrap
from fnkit.contract.text import escape_control_characters
from fnkit.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_INDENT: Final = "  "
_MIN_GUTTER: Final = 2
"""Columns of a line number, so that the parts of most problems stand below each other."""
_COLOURS: Final = {"error": "red", "problem": "red", "warning": "yellow", "note": "cyan", "hint": "cyan"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a line in one style; ``colour`` is a colour's name, ``""`` for the terminal's own."""

    text: str
    colour: str = ""
    bold: bool = False


@dataclass(frozen=True, slots=True)
class ProblemText:
    """The lines of a problem."""

    lines: tuple[tuple[Segment, ...], ...]

    def styled(self) -> str:
        """Return the lines with the control sequences of colours."""
        return "\n".join(
            "".join(
                click.style(one.text, fg=one.colour or None, bold=True if one.bold else None)
                if one.colour or one.bold
                else one.text
                for one in line
            )
            for line in self.lines
        )

    def rich(self) -> Text:
        """Return the lines for a console of rich."""
        from rich.text import Text

        text = Text()
        for number, line in enumerate(self.lines):
            text.append("\n" if number else "")
            for one in line:
                text.append(one.text, style=f"{'bold ' if one.bold else ''}{one.colour}".strip())
        return text


def problem_text(problem: Problem, root: Path | None, *, width: int | None, word: str = "error") -> ProblemText:
    """Lay out a problem.

    Args:
        problem: The problem.
        root: The project folder, which the problem's file is relative to; ``None`` shows no source line.
        width: Columns of the terminal; ``None`` if there is none, which breaks no lines.
        word: What it is: ``error``, ``problem``, ``warning`` or ``note``.
    """
    return ProblemText(tuple(_lines(problem, root, width, word)))


def print_problem(console: Console, problem: Problem, root: Path | None, *, word: str = "error") -> None:
    """Print a problem, laid out by ``problem_text`` for the width of the console's terminal."""
    width = console.width if console.is_terminal else None
    console.print(problem_text(problem, root, width=width, word=word).rich(), soft_wrap=True)


def _lines(problem: Problem, root: Path | None, width: int | None, word: str) -> Iterator[tuple[Segment, ...]]:
    colour = _COLOURS[word]
    label = f"{word}[{problem.code}]:"
    message = escape_control_characters(problem.message, multiline=True)
    first, *rest = wrap(message, width, taken=cell_width(label) + 1, indent=_INDENT)
    yield (Segment(label, colour, bold=True), Segment(f" {first}" if first else ""))
    yield from ((Segment(line),) for line in rest)
    if problem.file is not None:
        yield from _place(problem, root, width, colour)
    if problem.hint:
        hint = escape_control_characters(problem.hint, multiline=True)
        first, *rest = wrap(hint, width, taken=len("  hint: "), indent=" " * len("  hint: "))
        yield (Segment(_INDENT), Segment("hint:", _COLOURS["hint"], bold=True), Segment(f" {first}"))
        yield from ((Segment(line),) for line in rest)


def _place(problem: Problem, root: Path | None, width: int | None, colour: str) -> Iterator[tuple[Segment, ...]]:
    gutter = max(_MIN_GUTTER, len(str(problem.line or "")))
    excerpt = None
    if root is not None:
        excerpt = read_excerpt(root, problem, None if width is None else width - gutter - len(" | "))
    place = escape_control_characters(_place_of(problem, root))
    yield (Segment(" " * gutter), Segment("--> ", "blue", bold=True), Segment(place))
    if excerpt is not None:
        yield from _excerpt_lines(excerpt, gutter, colour)


def _excerpt_lines(excerpt: Excerpt, gutter: int, colour: str) -> Iterator[tuple[Segment, ...]]:
    bar = Segment(f"{' ' * gutter} |", "blue", bold=True)
    yield (bar,)
    yield (Segment(f"{excerpt.number:>{gutter}} |", "blue", bold=True), Segment(f" {excerpt.text}"))
    yield (bar, Segment(" " * (excerpt.start + 1)), Segment("^" * excerpt.length, colour, bold=True))


def _place_of(problem: Problem, root: Path | None) -> str:
    """Return ``file:line:column`` as far as known, by a path that an editor finds from the current directory."""
    place = problem.file or ""
    if root is not None and (root / place).exists():
        place = _path_from_here(root / place, root)
    for number in (problem.line, problem.column):
        if number is None:
            break
        place += f":{number}"
    return place


def _path_from_here(path: Path, root: Path) -> str:
    try:
        here = Path.cwd()
    except OSError:  # the current directory was deleted
        return str(path)
    if path.is_relative_to(here):
        return path.relative_to(here).as_posix()
    if here.is_relative_to(root):
        return "/".join((*[".."] * len(here.relative_to(root).parts), path.relative_to(root).as_posix()))
    return str(path)
