"""The source line of a problem, made safe to show: of files that hold code and settings, and of no others."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.cli.wrapping import cell_width
from fnkit.contract.text import escape_control_characters
from fnkit.errors import Problem
from fnkit.project.files import OutsideProject, read_project_text
from fnkit.project.included_directories import find_repository

_SHOWN_FILES: Final = re.compile(
    r".+\.(?:py|js|cjs|mjs|ts|cts|mts|go|rs|php)"
    r"|fnkit\.toml|pyproject\.toml|Cargo\.toml|go\.mod|package\.json|composer\.json|[\w.-]*requirements[\w.-]*\.(?:txt|in)"
)
"""Names of files that are shown. Any other may hold secrets, as ``.env`` and ``brokers.toml`` do."""
_CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
_TAB_WIDTH: Final = 4
_MAX_WIDTH: Final = 160
"""Columns of a source line that are shown at most, also where nothing wraps lines."""
_MIN_WIDTH: Final = 16
_CUT: Final = "…"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A source line as it is shown.

    Attributes:
        number: Its number in the file.
        text: The line, or the part of a long one around the marked place.
        start: Columns before the marked place.
        length: Columns of the marked place, at least 1.
    """

    number: int
    text: str
    start: int
    length: int


def read_excerpt(root: Path, problem: Problem, width: int | None) -> Excerpt | None:
    """Return the source line of a problem.

    Args:
        root: The folder that the problem's file is relative to.
        problem: The problem.
        width: Columns for the line; ``None`` without a terminal.

    Returns:
        ``None`` if the problem has no column, or its file is not one that is shown, has changed or cannot be read.
    """
    if problem.file is None or problem.line is None or problem.column is None:
        return None
    line = _read_line(root, problem.file, problem.line)
    if line is None or problem.column > len(line) + 1:
        return None
    hidden = _CREDENTIALS_IN_URL.sub(lambda found: "*" * len(found[0]), line)
    end = len(hidden) + 1 if problem.end_column is None else min(problem.end_column, len(hidden) + 1)
    room = max(_MIN_WIDTH, min(_MAX_WIDTH, _MAX_WIDTH if width is None else width))
    return _cut(problem.line, hidden, problem.column - 1, end - 1, room)


def _read_line(root: Path, file: str, number: int) -> str | None:
    """Return one line of a file of the project; ``None`` if there is none to show."""
    path = root / file
    try:
        # A link to a file of another name is judged by both names.
        if not all(_SHOWN_FILES.fullmatch(name) for name in (path.name, Path(os.path.realpath(path)).name)):
            return None
        # Files of included directories are named by their paths from the project; they are in its repository.
        limit = (find_repository(root) or root) if file.startswith("../") else root
        lines = read_project_text(limit, path).split("\n")
    except (OSError, ValueError, OutsideProject):
        return None
    return lines[number - 1] if 0 < number <= len(lines) else None


def _cut(number: int, line: str, start: int, end: int, room: int) -> Excerpt:
    """Return a line with tabs and control characters as they are shown, cut to ``room`` columns.

    Args:
        number: Its number.
        line: The line.
        start: Index of the first marked character.
        end: Index after the last one.
        room: Columns for the line.
    """
    cells = _shown_characters(line)
    before, marked = sum(map(cell_width, cells[:start])), sum(map(cell_width, cells[start:end]))
    if before + marked + sum(map(cell_width, cells[end:])) <= room:
        return Excerpt(number, "".join(cells).rstrip(), before, max(1, marked))
    first, left = start, room // 3
    while first > 0 and (left := left - cell_width(cells[first - 1])) >= 0:
        first -= 1
    head = _CUT if first else ""
    last, used = first, cell_width(head) + cell_width(_CUT)
    while last < len(cells) and (used := used + cell_width(cells[last])) <= room:
        last += 1
    text = head + "".join(cells[first:last]) + (_CUT if last < len(cells) else "")
    offset = cell_width(head) + sum(map(cell_width, cells[first:start]))
    return Excerpt(number, text.rstrip(), offset, max(1, sum(map(cell_width, cells[start : min(end, last)]))))


def _shown_characters(line: str) -> list[str]:
    """Return what is shown for each character of a line."""
    shown: list[str] = []
    column = 0
    for character in line:
        is_tab = character == "\t"
        text = " " * (_TAB_WIDTH - column % _TAB_WIDTH) if is_tab else escape_control_characters(character)
        shown.append(text)
        column += cell_width(text)
    return shown
