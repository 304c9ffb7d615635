"""Breaks text into the lines of a terminal: between words only, never inside a URL, a path or a command."""

from __future__ import annotations

import os
import re
import unicodedata
from itertools import pairwise
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
        indent: What continued lines begin with, after the indentation of the line that they continue.
    """
    lines: list[str] = []
    for number, given in enumerate(text.split("\n")):
        used = 0 if number else taken
        if width is None or cell_width(given) + used <= width:
            lines.append(given)
            continue
        following = given[: len(given) - len(given.lstrip(" "))] + indent
        breaks = line_breaks(given, max(width, _MIN_WIDTH), first=used, margin=cell_width(following))
        pieces = [given[start:end] for start, end in pairwise([0, *breaks, len(given)])]
        lines += [pieces[0], *(following + piece for piece in pieces[1:])]
    return tuple(line.rstrip() for line in lines)


def line_breaks(text: str, width: int, *, first: int, margin: int) -> list[int]:
    """Return the offsets at which a line is continued: before words that would end beyond the width.

    A word that is longer than a line is on a line of its own.

    Args:
        text: The line.
        width: Columns of a line.
        first: Columns before the text on the first line.
        margin: Columns before it on further lines.
    """
    breaks: list[int] = []
    column, previous_end = first, 0
    is_empty = first <= margin  # another line would have no more room for the first word
    for word in _WORD.finditer(text):
        space, length = word.start() - previous_end, cell_width(word[0])
        if not is_empty and column + space + length > width:
            breaks.append(word.start())
            column, space = margin, 0
        column += space + length
        previous_end, is_empty = word.end(), False
    return breaks
