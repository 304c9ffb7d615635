"""The level of a line, and which lines belong together, such as those of a traceback.

Functions write text; no server knows their levels. A level is recognised in the forms that the logging libraries of
the supported languages write by default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from fnkit.client.loki import LogLine


class LogLevel(IntEnum):
    """The severity of a line."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


_NAMES: Final = {
    **dict.fromkeys(("trace", "debug", "verbose"), LogLevel.DEBUG),
    **dict.fromkeys(("info", "information", "notice", "log"), LogLevel.INFO),
    **dict.fromkeys(("warn", "warning"), LogLevel.WARNING),
    **dict.fromkeys(
        ("err", "error", "critical", "crit", "fatal", "panic", "alert", "emerg", "emergency", "exception"),
        LogLevel.ERROR,
    ),
}
_NUMBERS: Final = ((50, LogLevel.ERROR), (40, LogLevel.WARNING), (30, LogLevel.INFO))
_LEVEL_FIELDS: Final = ("level", "severity", "levelname", "log_level", "lvl")
_PREFIX_LENGTH: Final = 100  # characters in which a level is looked for: after a time and the name of a logger
_WORD: Final = re.compile(
    r"(?<![A-Za-z0-9_])(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)(?![A-Za-z0-9_])"
)
_LOGFMT: Final = re.compile(r"(?:^|\s)(?:level|severity|lvl)=\"?([A-Za-z]+)")
_ERROR_START: Final = re.compile(
    r"Traceback \(most recent call last\):|(?:Uncaught )?[A-Za-z_][\w.]*(?:Error|Exception)(?::|$)"
    r"|panic: |thread '.*' panicked at |PHP (?:Fatal|Parse) error: |Unhandled rejection"
)
_TRACEBACK: Final = "Traceback (most recent call last):"
_CHAINED: Final = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_REQUEST_PREFIX: Final = "Function Triggered: "
"""What Scaleway's core runtime, and the local platform, write for each request."""


def is_request_line(line: LogLine) -> bool:
    """Return whether the runtime wrote the line because of a request."""
    return line.stream in ("requests", "") and line.message.startswith(_REQUEST_PREFIX)


def level_of(line: LogLine) -> LogLevel:
    """Return the level of a line by itself. Lines without a recognised level are ``INFO``."""
    if is_request_line(line):
        return LogLevel.DEBUG
    if line.stream == "system":
        return LogLevel.WARNING
    text = line.message.lstrip()
    if text.startswith("{") and (level := _level_of_json(text)) is not None:
        return level
    if _ERROR_START.match(text):
        return LogLevel.ERROR
    head = text[:_PREFIX_LENGTH]
    if found := _WORD.search(head) or _LOGFMT.search(head):
        return _NAMES.get(found[1].lower(), LogLevel.INFO)
    return LogLevel.INFO


def _level_of_json(text: str) -> LogLevel | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    values = (document.get(name) for name in _LEVEL_FIELDS)
    return next((level for value in values if (level := _level_of_value(value)) is not None), None)


def _level_of_value(value: object) -> LogLevel | None:
    if isinstance(value, str):
        return _NAMES.get(value.lower())
    if isinstance(value, int) and not isinstance(value, bool):  # as Bunyan and Pino write it
        return next((level for least, level in _NUMBERS if value >= least), LogLevel.DEBUG)
    return None


@dataclass(slots=True)
class _State:
    """The last line of a writer: its level, and whether a traceback is open or may be continued."""

    level: LogLevel
    in_traceback: bool = False
    ended_traceback: bool = False


class LevelReader:
    """Finds the levels of lines in order. A line that continues another one, as in a traceback, has its level.

    Lines belong together if the same instance wrote them to the same stream, even if others wrote in between.
    """

    def __init__(self) -> None:
        self._states: dict[tuple[str, str, str], _State] = {}

    def read(self, line: LogLine) -> tuple[LogLevel, bool]:
        """Return the level of the next line, and whether the line continues the writer's previous one."""
        writer = (line.function_id, line.instance, line.stream)
        before = self._states.get(writer)
        text = line.message
        if before is not None and _continues(before, text):
            ends = before.in_traceback and bool(text.strip()) and not text[:1].isspace() and not _opens(text)
            self._states[writer] = _State(
                before.level,
                in_traceback=_opens(text) or (before.in_traceback and not ends),
                ended_traceback=ends or (before.ended_traceback and not _opens(text)),
            )
            return before.level, True
        level = level_of(line)
        self._states[writer] = _State(level, in_traceback=_TRACEBACK in text)
        return level, False


def _opens(text: str) -> bool:
    return text.lstrip(" +|").startswith(_TRACEBACK)


def _continues(before: _State, text: str) -> bool:
    if before.in_traceback:
        return True
    if before.ended_traceback and (not text.strip() or text in _CHAINED or _opens(text)):
        return True
    return text[:1] in (" ", "\t") and bool(text.strip())


@dataclass(frozen=True, slots=True)
class LeveledLine:
    """A line with its level, and whether it continues the line before it."""

    line: LogLine
    level: LogLevel
    is_continuation: bool


def read_levels(lines: Iterable[LogLine], reader: LevelReader) -> list[LeveledLine]:
    """Return the lines with their levels; lines that belong together follow each other.

    Args:
        lines: Lines in order of time.
        reader: Knows the lines before them.
    """
    groups: list[list[LeveledLine]] = []
    last_group: dict[tuple[str, str, str], list[LeveledLine]] = {}
    for line in lines:
        level, is_continuation = reader.read(line)
        writer = (line.function_id, line.instance, line.stream)
        group = last_group.get(writer)
        if not is_continuation or group is None:
            group = last_group[writer] = []
            groups.append(group)
        group.append(LeveledLine(line, level, is_continuation))
    return list(_flatten(groups))


def _flatten(groups: list[list[LeveledLine]]) -> Iterator[LeveledLine]:
    for group in groups:
        yield from group
