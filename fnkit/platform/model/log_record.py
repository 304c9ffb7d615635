"""Records of a function's log, and the names of the segment files that hold them. Pure values.

The data plane appends, control reads. The log of a function is ``<data directory>/logs/<function id>/<eight
digits>.jsonl``, one JSON object per line, ordered by time within and across segments. A new segment starts after 8
MiB; the newest eight are kept. The lines about requests and responses are in segments of their own, in
``requests/`` in the same directory, of which two are kept: they must not displace the output. Builds log to
``build.jsonl``, rotated to ``build.1.jsonl``, in the same directory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

MAX_SEGMENT_BYTES: Final = 8 * 1024 * 1024
MAX_SEGMENTS: Final = 8
MAX_REQUEST_SEGMENTS: Final = 2
REQUESTS_DIRECTORY: Final = "requests"
MAX_LINE_BYTES: Final = 64 * 1024

LogStream: TypeAlias = Literal["stdout", "stderr", "system", "requests", "responses"]
_NANOSECONDS_PER_SECOND: Final = 10**9
_MAX_FRACTION_DIGITS: Final = 9
_SEGMENT_NAME: Final = re.compile(r"(\d{8})\.jsonl")


class LogRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of a function's log.

    Attributes:
        time: Platform time, RFC 3339 in UTC with nine fractional digits. Strictly increasing within a function, so
            that a time identifies one record.
        request_id: Empty outside a request.
    """

    time: str
    function_id: str
    instance: str
    request_id: str
    stream: LogStream
    message: str


def segment_name(number: int) -> str:
    """Return the file name of a segment.

    >>> segment_name(7)
    '00000007.jsonl'
    """
    return f"{number:08d}.jsonl"


def segment_number(name: str) -> int | None:
    """Return the number in a segment's file name; ``None`` for other files."""
    match = _SEGMENT_NAME.fullmatch(name)
    return int(match.group(1)) if match else None


def format_time(nanoseconds: int) -> str:
    """Format Unix nanoseconds as the time of a record.

    >>> format_time(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828896696Z'
    """
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS_PER_SECOND)
    return f"{_format_seconds(seconds)}.{fraction:09d}Z"


def format_times(moments: Sequence[int]) -> list[str]:
    """Format nanoseconds in ascending order, four times as fast as one by one if they are within a second."""
    second = moments[0] // _NANOSECONDS_PER_SECOND
    start = second * _NANOSECONDS_PER_SECOND
    if moments[-1] - start >= _NANOSECONDS_PER_SECOND:
        return [format_time(moment) for moment in moments]
    seconds = _format_seconds(second)
    return [f"{seconds}.{moment - start:09d}Z" for moment in moments]


def parse_time(text: str) -> int | None:
    """Parse the time of a record to Unix nanoseconds; ``None`` if it is invalid.

    >>> parse_time("2026-07-02T13:03:53.828896Z"), parse_time("yesterday")
    (1782997433828896000, None)
    """
    fraction = text[20:-1]
    seconds = _parse_seconds(text[:19])
    if seconds is None or text[-1:] != "Z" or not fraction.isdecimal() or len(fraction) > _MAX_FRACTION_DIGITS:
        return None
    return seconds * _NANOSECONDS_PER_SECOND + int(fraction.ljust(_MAX_FRACTION_DIGITS, "0"))


# Consecutive records mostly share their second, and formatting or parsing a date costs far more than a cache hit.
@lru_cache(maxsize=64)
def _format_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _parse_seconds(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(f"{text}+00:00").timestamp())
    except ValueError:
        return None
