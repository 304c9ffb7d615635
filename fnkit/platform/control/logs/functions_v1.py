"""The logs endpoint of an older API version: the newest log lines of a function, newest first.

Read from the log segments that the data plane appends to (docs/logs.md).
"""

from __future__ import annotations

import heapq
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.logs.segments import ALL_TIME, read_backward
from fnkit.platform.model.log_record import REQUESTS_DIRECTORY, LogRecord

MAX_LINES: Final = 1000
_MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024  # per response: a thousand lines of 64 KiB would be 64 MB
_CORE_STREAMS: Final = ("system", "requests")
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
    """Return the newest thousand lines and those of the newest thousand requests, up to 4 MiB. Blocks on the disk.

    Args:
        folder: The function's log directory.
    """
    logs: list[FunctionLogLine] = []
    size = 0
    sources = (folder, folder / REQUESTS_DIRECTORY)
    newest = (islice(read_backward(source, ALL_TIME), MAX_LINES) for source in sources)
    for _, text in heapq.merge(*newest, key=itemgetter(0), reverse=True):
        size += len(text)
        if size > _MAX_RESPONSE_BYTES:
            break
        try:
            line = _decoder.decode(text)
        except msgspec.MsgspecError:
            continue  # an incomplete line: the machine stopped while it was written
        core = line.stream in _CORE_STREAMS
        logs.append(
            FunctionLogLine(
                message=line.message,
                timestamp=line.time,
                source="core" if core else "user",
                stream="unknown" if core else line.stream,
            )
        )
    return FunctionLogsResponse(logs=logs)
