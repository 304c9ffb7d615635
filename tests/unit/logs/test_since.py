"""The argument of ``--since``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fnkit.errors import UsageError
from fnkit.logs.since import NANOSECONDS, parse_since

NOW_SECONDS = int(datetime(2026, 11, 29, 14, 5, 30, tzinfo=UTC).timestamp())
NOW = NOW_SECONDS * NANOSECONDS


@pytest.mark.parametrize(
    ("text", "seconds_before"),
    [("10m", 600), ("2h", 7200), ("1h30m", 5400), ("45s", 45), ("3d", 259_200), ("1w", 604_800), (" 5m ", 300)],
)
def test_duration_is_counted_back_from_the_server_time(text: str, seconds_before: int) -> None:
    assert parse_since(text, NOW) == NOW - seconds_before * NANOSECONDS


def test_duration_beyond_the_epoch_is_the_epoch() -> None:
    assert parse_since("999999w", NOW) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-29T14:05:00Z", NOW - 30 * NANOSECONDS),
        ("2026-11-29T15:05:00.000001+01:00", NOW - 30 * NANOSECONDS + 1000),
        (str(NOW_SECONDS - 7), NOW - 7 * NANOSECONDS),
    ],
)
def test_times_with_an_offset_and_unix_seconds_are_points_in_time(text: str, expected: int) -> None:
    assert parse_since(text, NOW) == expected


def test_time_of_day_is_of_the_servers_today_in_local_time() -> None:
    local = datetime.fromtimestamp(NOW_SECONDS, UTC).astimezone()
    start_of_minute = local.replace(second=0)
    assert parse_since(f"{local:%H:%M}", NOW) == int(start_of_minute.timestamp()) * NANOSECONDS
    assert parse_since(f"{local:%H:%M:%S}", NOW) == NOW


@pytest.mark.parametrize("text", ["", "never", "10", "10x", "-5m", "25:00", "2026-13-01", "5 m", "1e3"])
def test_anything_else_is_rejected_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_since(text, NOW)
    assert raised.value.code == "bad-since"
    assert "--since 10m" in (raised.value.hint or "")


def test_future_time_is_rejected() -> None:
    with pytest.raises(UsageError, match="in the future"):
        parse_since("2026-11-29T14:06:00Z", NOW)
