"""Times and ids as people read them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from fnkit.cli.times import exact_time, format_time, parse_time, relative_time, short_id

NOW = datetime(2026, 11, 30, 14, 5, tzinfo=UTC)
IDENTIFIER = "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "now"),
        (0.4, "now"),
        (1, "in 1 s"),
        (-59, "59 s ago"),
        (-60, "1 min ago"),
        (3599, "in 59 min"),
        (3600, "in 1 h"),
        (-86_399, "23 h ago"),
        (-86_400, "1 d ago"),
        (29 * 86_400, "in 29 d"),
        (30 * 86_400, "2026-12-30"),
        (-400 * 86_400, "2025-10-26"),
    ],
)
def test_a_time_is_told_in_its_largest_unit(seconds: float, shown: str) -> None:
    assert relative_time(NOW + timedelta(seconds=seconds), NOW) == shown


def test_an_exact_time_is_in_utc_to_the_second() -> None:
    assert exact_time(parse_time("2026-11-30T15:05:00.123456+01:00")) == "2026-11-30T14:05:00Z"


@pytest.mark.parametrize(
    ("is_terminal", "moment", "identifier"),
    [(True, "1 min ago", "11111111"), (False, "2026-11-30T14:04:00Z", IDENTIFIER)],
)
def test_only_a_terminal_gets_short_ids_and_relative_times(
    *, is_terminal: bool, moment: str, identifier: str
) -> None:
    console = Console(file=io.StringIO(), force_terminal=is_terminal)

    assert format_time(console, NOW - timedelta(minutes=1), NOW) == moment
    assert short_id(console, IDENTIFIER) == identifier
