"""The argument of ``--since``: a duration, or a point in time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from fnkit.errors import UsageError

NANOSECONDS: Final = 10**9
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION: Final = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)
_PART: Final = re.compile(r"(\d+)([smhdw])", re.ASCII)
_CLOCK_TIME: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)
_UNIX_SECONDS: Final = re.compile(r"\d{9,11}(\.\d{1,9})?", re.ASCII)


def parse_since(text: str, now: int) -> int:
    """Return the point in time in Unix nanoseconds.

    Args:
        text: A duration (``10m``, ``1h30m``, ``2d``), a time of today (``14:05``), an ISO 8601 time, or Unix
            seconds. Times without an offset are local.
        now: The current time of the log server in Unix nanoseconds.

    Raises:
        UsageError: ``bad-since``: the text is none of these, or in the future.

    >>> parse_since("1h30m", 10**18)
    999994600000000000
    """
    value = text.strip()
    if _DURATION.fullmatch(value):
        seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(value))
        return max(0, now - seconds * NANOSECONDS)
    moment = _parse_moment(value, now)
    if moment is None:
        raise UsageError(
            f"{text!r} is neither a duration nor a time.",
            code="bad-since",
            hint="Examples: --since 10m, --since 2h, --since 14:05, --since 2026-11-29T14:05:00Z.",
        )
    if moment > now:
        raise UsageError(f"{text!r} is in the future.", code="bad-since", hint="Choose an earlier time.")
    return moment


def _parse_moment(value: str, now: int) -> int | None:
    if _UNIX_SECONDS.fullmatch(value):
        return round(float(value) * NANOSECONDS)
    try:
        if _CLOCK_TIME.fullmatch(value):
            today = datetime.fromtimestamp(now / NANOSECONDS).astimezone().date().isoformat()
            value = f"{today}T{value.zfill(len(value) + (value.index(':') == 1))}"
        moment = datetime.fromisoformat(value)
        return int(moment.replace(microsecond=0).timestamp()) * NANOSECONDS + moment.microsecond * 1000
    except (ValueError, OverflowError, OSError):
        return None
