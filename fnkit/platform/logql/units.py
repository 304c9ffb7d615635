"""Parses durations (nanoseconds) and sizes (bytes) in the formats of queries and of log lines."""

from __future__ import annotations

import re
from typing import Final

_NANOSECONDS_PER_UNIT: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,  # U+03BC; the one above is U+00B5
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
    "y": 365 * 86400 * 10**9,
}
# Here and below, each text matches in one way only, and searching never starts again within a number: other
# expressions take seconds for a number of 5,000 digits, which a log line or a query may contain.
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|[smhdwy])")
_GO_UNITS: Final = frozenset({"ns", "us", "µs", "μs", "ms", "s", "m", "h"})
_MAX_NANOSECONDS: Final = 2**63 - 1
_MAX_DIGITS: Final = 19

_SIZE: Final = re.compile(r"(\d[\d,]*(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)")
_BYTES_PER_UNIT: Final = {"": 1, "b": 1} | {
    prefix + rest: base**power
    for power, prefix in enumerate("kmgtp", start=1)
    for rest, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}


def parse_duration(text: str) -> int | None:
    """Parse a duration in a query: Go's format plus days, weeks and years.

    >>> parse_duration("1h30m"), parse_duration("2d"), parse_duration("soon")
    (5400000000000, 172800000000000, None)
    """
    return _parse_units(text, frozenset(_NANOSECONDS_PER_UNIT))


def parse_go_duration(text: str) -> int | None:
    """Parse a duration in a log line: Go's format only.

    >>> parse_go_duration("1.5s"), parse_go_duration("0"), parse_go_duration("2d")
    (1500000000, 0, None)
    """
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    return 0 if unsigned == "0" else _parse_units(text, _GO_UNITS)


def _parse_units(text: str, units: frozenset[str]) -> int | None:
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    total, end = 0, 0
    while part := _DURATION_PART.match(unsigned, end):
        if part[2] not in units or len(part[1]) > _MAX_DIGITS:
            return None
        total += _multiply(part[1], _NANOSECONDS_PER_UNIT[part[2]])
        end = part.end()
    if end == 0 or end != len(unsigned) or total > _MAX_NANOSECONDS:
        return None
    return -total if text.startswith("-") else total


def _multiply(number: str, factor: int) -> int:
    """Multiply a number, exactly if it is whole."""
    return int(number) * factor if number.isdecimal() else int(float(number) * factor)


def parse_size(text: str) -> int | None:
    """Parse a size with a decimal unit, or a binary one with an ``i``, ignoring case.

    >>> parse_size("20kB"), parse_size("1.5 KiB"), parse_size("much")
    (20000, 1536, None)
    """
    found = _SIZE.fullmatch(text.strip())
    factor = _BYTES_PER_UNIT.get(found[2].lower()) if found else None
    if found is None or factor is None or len(found[1]) > _MAX_DIGITS:
        return None
    return _multiply(found[1].replace(",", ""), factor)
