"""Tracebacks of Python handlers as a developer reads them: the error first, then the own code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fnkit.client.loki import LogLine
from fnkit.logs.levels import LeveledLine, LevelReader, read_levels

_START: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>.+)')
_CODE_DIRECTORY: Final = "/home/app/function/"
_PACKAGES: Final = "package/"


@dataclass(frozen=True, slots=True)
class TracebackFrame:
    """A frame of a traceback.

    Attributes:
        file: The file; relative to the project if it is one of the project's.
        line: The line.
        name: The function.
        source: The line of code, empty if it is not known.
        is_own: Whether the project's own code is in it.
    """

    file: str
    line: int
    name: str
    source: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Traceback:
    """A traceback.

    Attributes:
        error: The last line or lines: type and message of the exception.
        frames: The frames, the outermost first.
    """

    error: tuple[str, ...]
    frames: tuple[TracebackFrame, ...]

    @property
    def own_frames(self) -> tuple[TracebackFrame, ...]:
        """The frames in the project's own code, the innermost first."""
        return tuple(frame for frame in reversed(self.frames) if frame.is_own)

    @property
    def other_frames(self) -> int:
        """How many frames there are in other code."""
        return sum(1 for frame in self.frames if not frame.is_own)


def read_traceback(lines: Sequence[str], shown: Callable[[str], str] = str) -> Traceback | None:
    """Return the last of the tracebacks in some lines; ``None`` if they do not end with one.

    Args:
        lines: The lines.
        shown: Returns the path in the project of a file of an archive.

    >>> lines = ["Traceback (most recent call last):", '  File "/home/app/function/main.py", line 7, in hello']
    >>> found = read_traceback([*lines, "    return 1 / 0", "ZeroDivisionError: division by zero"])
    >>> found.error, found.own_frames[0].file
    (('ZeroDivisionError: division by zero',), 'main.py')
    """
    starts = [index for index, line in enumerate(lines) if line == _START]
    if not starts:
        return None
    frames: list[TracebackFrame] = []
    error: list[str] = []
    rest = list(lines[starts[-1] + 1 :])
    for index, line in enumerate(rest):
        match = _FRAME.fullmatch(line)
        if match and not error:
            following = rest[index + 1] if index + 1 < len(rest) else ""
            source = following.strip() if following.startswith("    ") else ""
            frames.append(_frame(match, source, shown))
        elif error or not line.startswith(" "):
            error.append(line)
    return Traceback(tuple(error), tuple(frames)) if frames and error else None


def _frame(match: re.Match[str], source: str, shown: Callable[[str], str]) -> TracebackFrame:
    file = match["file"]
    own = file.startswith(_CODE_DIRECTORY) and not file.removeprefix(_CODE_DIRECTORY).startswith(_PACKAGES)
    name = shown(file.removeprefix(_CODE_DIRECTORY)) if own else file.removeprefix(_CODE_DIRECTORY)
    return TracebackFrame(name, int(match["line"]), match["name"], source, own)


def with_project_paths(lines: Iterable[str]) -> list[str]:
    """Return lines in which files of the function's code are named as in the project."""
    return [line.replace(_CODE_DIRECTORY, "") for line in lines]


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """Lines that belong together.

    Attributes:
        lines: The lines with their levels, in order.
        traceback: The traceback that they are, if they are one.
    """

    lines: tuple[LeveledLine, ...]
    traceback: Traceback | None = None


class OutputGrouper:
    """Groups the lines that functions write, so that a traceback is shown as a whole.

    Args:
        shown: Returns the path in the project of a file of an archive.
    """

    def __init__(self, shown: Callable[[str], str] = str) -> None:
        self._shown = shown
        self._levels = LevelReader()
        self._held: list[LeveledLine] = []

    def read(self, lines: Sequence[LogLine]) -> list[OutputGroup]:
        """Return the groups of the next lines.

        A traceback whose end is missing is held back until the next call, which has it or shows that it is cut off.
        """
        held, self._held = self._held, []
        groups: list[list[LeveledLine]] = [held] if held else []
        for one in read_levels(lines, self._levels):
            if one.is_continuation and groups and _writer(groups[-1][0]) == _writer(one):
                groups[-1].append(one)
            else:
                groups.append([one])
        found = [self._group(group) for group in groups]
        if found and found[-1].traceback is None and _is_cut_off(groups[-1]) and groups[-1] != held:
            self._held = groups[-1]
            found.pop()
        return found

    def _group(self, lines: Sequence[LeveledLine]) -> OutputGroup:
        return OutputGroup(tuple(lines), read_traceback([one.line.message for one in lines], self._shown))

    @property
    def is_holding(self) -> bool:
        """Whether a traceback waits for its end."""
        return bool(self._held)


def _writer(one: LeveledLine) -> tuple[str, str, str]:
    return one.line.function_id, one.line.instance, one.line.stream


def _is_cut_off(lines: Sequence[LeveledLine]) -> bool:
    return any(one.line.message == _START for one in lines)
