"""Breaks text into the lines of a terminal: between words only, never inside a URL, a path or a command."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import IO, Final

_WORD: Final = re.compile(r"(?:[^\s`]|`[^`\n]*`|`)+")
"""A word; a command in backquotes is one word, with the punctuation around it."""
_MIN_WIDTH: Final = 20
"""Columns that a line has at least: a narrower terminal breaks lines itself."""


def terminal_width(stream: IO[str]) -> int | None:
    """Return the columns of a terminal; ``None`` if the stream is none."""
    if not stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def cell_width(text: str) -> int:
    """Return the columns that a text without control characters takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(text: str, width: int | None, *, taken: int = 0, indent: str = "") -> tuple[str, ...]:
    """Return the lines of a text. A line that fits stays as it is, with all its spaces.

    Args:
        text: The text; its own line ends and the indentation of its lines are kept.
        width: Columns of the terminal; ``None`` breaks no lines.
        taken: Columns of the first line that something else takes.
        indent: What all lines but the first begin with.
    """
    lines: list[str] = []
    for number, given in enumerate(text.split("\n")):
        begin = indent if number else ""
        if width is None or cell_width(begin + given) + (0 if number else taken) <= width:
            lines.append(begin + given)
            continue
        inner = given[: len(given) - len(given.lstrip(" "))]
        following = (begin if number else indent) + inner
        lines.extend(_wrap_line(given, begin + inner, following, max(width, _MIN_WIDTH), 0 if number else taken))
    return tuple(line.rstrip() for line in lines)


def _wrap_line(text: str, begin: str, following: str, width: int, taken: int) -> list[str]:
    lines: list[str] = []
    current, room = begin, width - taken
    is_empty = True
    for word in _WORD.findall(text):
        joined = current + word if is_empty else f"{current} {word}"
        # A first word that does not fit would not fit on the next line either, unless something else is here.
        if cell_width(joined) > room and not (is_empty and room == width):
            lines.append(current)
            joined, room = following + word, width
        current, is_empty = joined, False
    return [*lines, current]
