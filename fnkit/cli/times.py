"""Points in time as people read them: relative to now in a terminal, exact everywhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.contract.platform import PlatformInfo

_SHORT_ID_LENGTH: Final = 8
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_DAYS_UNTIL_DATE: Final = 30
_SECOND_MS: Final = 999.95  # from here on, a text with one decimal would say 1000.0 ms


def format_time(console: Console, moment: datetime, now: datetime) -> str:
    """Return ``2 min ago`` or ``in 3 h`` for a terminal, and the time in UTC, to the second, for anything else."""
    return relative_time(moment, now) if console.is_terminal else exact_time(moment)


def exact_time(moment: datetime) -> str:
    """Return a time in UTC, such as ``2026-11-30T14:05:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def relative_time(moment: datetime, now: datetime) -> str:
    """Return how far away a time is, in its largest unit; from 30 days on, its date.

    >>> relative_time(datetime(2026, 11, 30, 14, 2), datetime(2026, 11, 30, 14, 5))
    '3 min ago'
    """
    seconds = round((moment - now).total_seconds())
    if abs(seconds) >= _DAYS_UNTIL_DATE * _UNITS[0][0]:
        return moment.strftime("%Y-%m-%d")
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            amount = f"{abs(seconds) // size} {unit}"
            return f"in {amount}" if seconds > 0 else f"{amount} ago"
    return "now"


def format_duration(milliseconds: float) -> str:
    """Return how long something took, in milliseconds or seconds.

    >>> format_duration(16.27), format_duration(1234.5)
    ('16.3 ms', '1.2 s')
    """
    is_short = milliseconds < _SECOND_MS
    return f"{milliseconds:.1f} ms" if is_short else f"{milliseconds / 1000:.1f} s"


def parse_time(text: str) -> datetime:
    """Return the time of an RFC 3339 text, such as the API's."""
    return datetime.fromisoformat(text)


def short_id(console: Console, identifier: str) -> str:
    """Return 8 characters of an id, which commands accept too, for a terminal, and all of it elsewhere."""
    return identifier[:_SHORT_ID_LENGTH] if console.is_terminal else identifier


def platform_time(info: PlatformInfo | None) -> datetime:
    """Return the time by which crons run: the local platform's clock may run faster than this machine's, or stand.

    Args:
        info: The platform's description; ``None`` for Scaleway, whose time is this machine's.
    """
    if info is None or info.now is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(info.now, UTC)
