"""Timestamps in the formats of the API.

The real API was recorded to return nine fractional digits in the response to the write that sets a timestamp, and
six, rounded, in every later read. Expiry times of tokens have whole seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

__all__ = ["format_nanoseconds", "format_microseconds"]

_NANOSECONDS_PER_SECOND: Final = 10**9
_NANOSECONDS_PER_MICROSECOND: Final = 10**3


def format_nanoseconds(nanoseconds: int) -> str:
    """Return RFC 3339 with nine digits, for the response to the write that set the timestamp.

    >>> format_nanoseconds(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828896696Z'
    """
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS_PER_SECOND)
    return f"{_format_seconds(seconds)}.{fraction:09d}Z"


def format_microseconds(nanoseconds: int) -> str:
    """Return RFC 3339 with six digits, rounded half up, for every later read.

    All 2,267 recorded pairs of a write and a read agree with this rounding.

    >>> format_microseconds(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828897Z'
    """
    seconds, fraction = divmod(
        (nanoseconds + _NANOSECONDS_PER_MICROSECOND // 2) // _NANOSECONDS_PER_MICROSECOND,
        _NANOSECONDS_PER_SECOND // _NANOSECONDS_PER_MICROSECOND,
    )
    return f"{_format_seconds(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=1024)
def _format_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
