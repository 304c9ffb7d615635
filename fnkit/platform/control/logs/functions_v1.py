"""The logs endpoint of an older API version: the newest log lines of a function, newest first.

Read from the log segments that the data plane appends to (docs/logs.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.model.log_record import LogRecord, segment_number

MAX_LINES: Final = 1000
_MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024  # per response: a thousand lines of 64 KiB would be 64 MB
_decoder: Final = msgspec.json.Decoder(LogRecord)


class FunctionLogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One log line in the format of the older API.

    Attributes:
        message: The text.
        timestamp: RFC 3339.
        source: ``user``, or ``core`` for lines of the platform itself.
        stream: ``stdout`` or ``stderr``, ``unknown`` for lines of the platform itself.
    """

    message: str
    timestamp: str
    source: str
    stream: str


class FunctionLogsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response: the newest lines, newest first."""

    logs: list[FunctionLogLine]


def newest_lines(folder: Path) -> FunctionLogsResponse:
    """Return the newest thousand lines, or as many as fit into 4 MiB. Blocks on the disk.

    Args:
        folder: The function's log directory.
    """
    logs: list[FunctionLogLine] = []
    size = 0
    for text in _read_lines_backwards(folder):
        size += len(text)
        if len(logs) >= MAX_LINES or size > _MAX_RESPONSE_BYTES:
            break
        try:
            line = _decoder.decode(text)
        except msgspec.MsgspecError:
            continue  # an incomplete line: the machine stopped while it was written
        core = line.stream == "system"
        logs.append(
            FunctionLogLine(
                message=line.message,
                timestamp=line.time,
                source="core" if core else "user",
                stream="unknown" if core else line.stream,
            )
        )
    return FunctionLogsResponse(logs=logs)


def _read_lines_backwards(folder: Path) -> Iterator[bytes]:
    """Yield raw lines, newest first. Skip segments that are deleted meanwhile."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return
    numbered = sorted(((segment_number(name) or 0, name) for name in names), reverse=True)
    for number, name in numbered:
        if not number:
            continue
        try:
            lines = folder.joinpath(name).read_bytes().rsplit(b"\n", MAX_LINES + 1)
        except OSError:
            continue
        # rsplit stops after that many separators. Its first item then holds all older lines; none is needed.
        yield from (line for line in reversed(lines[1:] if len(lines) > MAX_LINES + 1 else lines) if line)
