"""View of one line of a log."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fnkit.contract.text import escape_control_characters
from fnkit.logs.levels import LogLevel

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.logs.levels import LeveledLine

_NANOSECONDS: Final = 10**9
_NAME_COLOURS: Final = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta", "bright_blue")
_MESSAGE_STYLES: Final = {LogLevel.ERROR: "red", LogLevel.WARNING: "yellow", LogLevel.DEBUG: "dim"}
_COLOUR_CODES: Final = re.compile(r"\x1b\[[0-9;:]*m")
_NAME_SHARE: Final = 4  # of a terminal's width, at most one part for names
_MIN_NAME_WIDTH: Final = 8
_MIN_MESSAGE_WIDTH: Final = 20
_GAP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLineView:
    """A line of a log.

    Args:
        entry: The line with its level.
        name_width: Length of the longest name of the functions that are shown.
        today: The date, to which times of other days add theirs.
    """

    entry: LeveledLine
    name_width: int
    today: str

    def to_json(self) -> dict[str, object]:
        """Return ``time, function, function_id, stream, level, instance, request_id, message``, and ``generation``.

        Only lines of builds have a generation.
        """
        line = self.entry.line
        document: dict[str, object] = {
            "time": _format_iso(line.time),
            "function": line.function,
            "function_id": line.function_id,
            "stream": line.stream,
            "level": self.entry.level.name.lower(),
            "instance": line.instance,
            "request_id": line.request_id,
            "message": line.message,
        }
        return document | ({"generation": line.generation} if line.generation else {})

    def render(self, console: Console) -> None:
        """Print time, name and message. On a terminal, long messages are wrapped below their beginning."""
        from rich.text import Text

        line = self.entry.line
        moment, name = self._format_time(), self._shorten(line.function, console)
        indent = len(moment) + _GAP + len(name) + _GAP
        head = Text.assemble((moment, "dim"), " " * _GAP, (name, name_colour(line.function)), " " * _GAP)
        # Colours of the handler would need its escape sequences, which could do anything to the terminal.
        message = escape_control_characters(_COLOUR_CODES.sub("", line.message), multiline=True).expandtabs(8)
        text = Text(message, style=_MESSAGE_STYLES.get(self.entry.level, ""))
        if not console.is_terminal or console.width - indent < _MIN_MESSAGE_WIDTH:
            console.print(head.append_text(text), soft_wrap=True)
            return
        rows = text.wrap(console, console.width - indent) or [Text()]
        for index, row in enumerate(rows):
            row.rstrip()
            console.print((head if index == 0 else Text(" " * indent)).append_text(row), soft_wrap=True)

    def _format_time(self) -> str:
        local = datetime.fromtimestamp(self.entry.line.time // _NANOSECONDS, UTC).astimezone()
        return f"{local:%H:%M:%S}" if f"{local:%Y-%m-%d}" == self.today else f"{local:%Y-%m-%d %H:%M:%S}"

    def _shorten(self, name: str, console: Console) -> str:
        """Return the name in the width of its column, which is limited on a terminal."""
        width = self.name_width
        if console.is_terminal:
            width = min(width, max(_MIN_NAME_WIDTH, console.width // _NAME_SHARE))
        return f"{name[: width - 1]}…" if len(name) > width else f"{name:<{width}}"


def _format_iso(time: int) -> str:
    seconds, fraction = divmod(time, _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def name_colour(name: str) -> str:
    """Return the colour of a function's name, the same in every run."""
    return _NAME_COLOURS[zlib.crc32(name.encode()) % len(_NAME_COLOURS)]
