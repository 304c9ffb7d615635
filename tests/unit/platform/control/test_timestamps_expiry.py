"""Expiry of tokens: parses RFC 3339 and formats whole seconds in UTC."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.control.errors import ControlError
from fnkit.platform.control.timestamps import format_expiry, parse_expiry

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES)  # noqa: DTZ001 - hypothesis adds the zone


@given(MOMENTS)
def test_date_with_any_offset_is_parsed_to_the_second(moment: datetime) -> None:
    expected = moment.astimezone(UTC).replace(microsecond=0)
    shown = format_expiry(parse_expiry("expires_at", moment.isoformat()))

    assert datetime.fromisoformat(shown) == expected
    assert parse_expiry("expires_at", shown) == parse_expiry("expires_at", moment.isoformat())


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("2026-07-04T18:49:39+02:00", "2026-07-04T16:49:39Z"),
        ("2022-03-22T12:34:56.123456Z", "2022-03-22T12:34:56Z"),
        ("2022-03-22T12:34:56.999999999Z", "2022-03-22T12:34:56Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_known_dates_are_formatted_in_utc(given_text: str, shown: str) -> None:
    assert format_expiry(parse_expiry("expires_at", given_text)) == shown


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|[+-][0-9]{2}:[0-9]{2})"))
def test_invalid_date_error_names_the_field(text: str) -> None:
    message = "expires_at "
    with suppress(ValueError):
        datetime.fromisoformat(text)
        return
    with pytest.raises(ControlError, match=message):
        parse_expiry("expires_at", text)
