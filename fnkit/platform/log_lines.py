"""One line of a function's log, and the names of the files that hold them (pure).

The data plane appends, control reads (decision 38). A function's lines lie in
``<home>/logs/<function id>/<eight digits>.jsonl``, one JSON object a line, oldest first in each segment and from
the lowest number to the highest. A segment that reached 8 MiB is followed by the next number; the newest eight
are kept. Builds append to segments of their own: ``build-<eight digits>.jsonl``.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = [
    "LINE_MAX_BYTES",
    "SEGMENTS_KEPT",
    "SEGMENT_MAX_BYTES",
    "LogLine",
    "Stream",
    "segment_name",
    "segment_number",
]

SEGMENT_MAX_BYTES: Final = 8 * 1024 * 1024
SEGMENTS_KEPT: Final = 8
LINE_MAX_BYTES: Final = 64 * 1024

Stream: TypeAlias = Literal["stdout", "stderr", "system"]
_SEGMENT: Final = re.compile(r"(\d{8})\.jsonl")


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``time`` is virtual, RFC 3339 in UTC with microseconds; ``request_id`` is ``""`` outside one."""

    time: str
    function_id: str
    instance: str
    request_id: str
    stream: Stream
    message: str


def segment_name(number: int) -> str:
    """Return the file name of a segment.

    >>> segment_name(7)
    '00000007.jsonl'
    """
    return f"{number:08d}.jsonl"


def segment_number(name: str) -> int | None:
    """Return the number in a segment's file name, ``None`` for any other file."""
    found = _SEGMENT.fullmatch(name)
    return int(found.group(1)) if found else None
