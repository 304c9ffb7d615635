"""Parsing and formatting of durations: the API's (``"300s"``, ``"10.000000000s"``) and the kit's (``"5m"``)."""

from __future__ import annotations

import re
from typing import Final

_API_DURATION: Final = re.compile(r"(-?\d{1,15})(?:\.(\d{1,9}))?s")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_NANOSECONDS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_api_duration(text: str) -> int | None:
    """Return the nanoseconds of a protobuf JSON duration (``"2.5s"``), or ``None`` if the text is not one."""
    match = _API_DURATION.fullmatch(text)
    if match is None:
        return None
    whole, fraction = match.groups()
    nanoseconds = int((fraction or "").ljust(9, "0"))
    return int(whole) * 10**9 + (-nanoseconds if whole.startswith("-") else nanoseconds)


def parse_duration(text: str | float) -> float | None:
    """Return the seconds of a duration in the settings, or ``None`` if it is invalid.

    Accepted are seconds as a number, and strings such as ``"30s"``, ``"5m"``, ``"1h30m"`` and ``"250ms"``.
    """
    if isinstance(text, int | float):
        return float(text)
    stripped = text.strip().replace(" ", "")
    total, position = 0.0, 0
    while match := _DURATION_PART.match(stripped, position):
        total += float(match.group(1)) * _UNIT_NANOSECONDS[match.group(2)] / 10**9
        position = match.end()
    return total if position and position == len(stripped) else None


def format_duration(nanoseconds: int) -> str:
    """Return a duration in protobuf JSON format: whole seconds, or seconds with 3, 6 or 9 fraction digits.

    >>> format_duration(10_000_000_000), format_duration(2_500_000_000)
    ('10s', '2.500s')
    """
    sign = "-" if nanoseconds < 0 else ""
    whole, fraction = divmod(abs(nanoseconds), 10**9)
    if not fraction:
        return f"{sign}{whole}s"
    digits = f"{fraction:09d}"
    length = next(length for length in (3, 6, 9) if not digits[length:].strip("0"))
    return f"{sign}{whole}.{digits[:length]}s"
