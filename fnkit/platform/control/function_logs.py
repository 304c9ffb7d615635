"""What a function wrote, newest first, from the segments that the data plane appends to (decision 38)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.log_lines import LogLine, segment_number

__all__ = ["FunctionLog", "FunctionLogs", "newest_lines"]

LINES_MAX: Final = 1000
_BYTES_MAX: Final = 4 * 1024 * 1024  # of one answer: a thousand lines of 64 KiB would be 64 MB
_decoder: Final = msgspec.json.Decoder(LogLine)


class FunctionLog(msgspec.Struct, frozen=True, kw_only=True):
    """One line, as the API showed it to older clients. source: ``user``, or ``core`` for the platform's own."""

    message: str
    timestamp: str
    source: str
    stream: str


class FunctionLogs(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lines, newest first."""

    logs: list[FunctionLog]


def newest_lines(folder: Path) -> FunctionLogs:
    """Read the newest thousand lines, or 4 MiB of them. Blocks for as long as the disk takes."""
    logs: list[FunctionLog] = []
    size = 0
    for text in _backwards(folder):
        size += len(text)
        if len(logs) >= LINES_MAX or size > _BYTES_MAX:
            break
        try:
            line = _decoder.decode(text)
        except msgspec.MsgspecError:
            continue  # the machine stopped in the middle of a line
        core = line.stream == "system"
        logs.append(
            FunctionLog(
                message=line.message,
                timestamp=line.time,
                source="core" if core else "user",
                stream="unknown" if core else line.stream,
            )
        )
    return FunctionLogs(logs=logs)


def _backwards(folder: Path) -> Iterator[bytes]:
    """Yield raw lines, the last one first; a segment that was just dropped is passed over."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return
    numbered = sorted(((segment_number(name) or 0, name) for name in names), reverse=True)
    for number, name in numbered:
        if not number:
            continue
        try:
            lines = folder.joinpath(name).read_bytes().rsplit(b"\n", LINES_MAX + 1)
        except OSError:
            continue
        # What is left of the last separator may hold many lines: more than are ever asked for.
        yield from (line for line in reversed(lines[1:] if len(lines) > LINES_MAX + 1 else lines) if line)
