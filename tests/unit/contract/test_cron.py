"""The cron grammar, and next runs that were computed by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fnkit.contract.cron import CronSchedule, schedule_error


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def after(schedule: str, start: str) -> str | None:
    run_time = CronSchedule.parse(schedule).next_after(at(start))
    return None if run_time is None else f"{datetime.fromtimestamp(run_time, tz=UTC):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        ("* * * * *", "2026-03-01 00:00:00", "2026-03-01 00:01:00"),
        ("* * * * *", "2026-03-01 00:00:59.999", "2026-03-01 00:01:00"),
        ("*/5 * * * *", "2026-03-01 00:03:20", "2026-03-01 00:05:00"),
        ("5/20 * * * *", "2026-03-01 00:26", "2026-03-01 00:45:00"),
        ("0 9-17/4 * * MON-FRI", "2026-03-06 13:00", "2026-03-06 17:00:00"),
        ("0 9-17/4 * * MON-FRI", "2026-03-06 17:00", "2026-03-09 09:00:00"),
        ("0 0 * * 7", "2026-03-01 00:00", "2026-03-08 00:00:00"),
        ("0 0 * * sun", "2026-03-02 00:00", "2026-03-08 00:00:00"),
        ("0 0 1 jan,JUL *", "2026-03-01 00:00", "2026-07-01 00:00:00"),
        ("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00:00"),
        ("1 1 1 1 1", "2026-01-01 02:00", "2026-01-05 01:01:00"),
        ("0 0 */10 * 1", "2026-03-03 00:00", "2026-03-09 00:00:00"),
        ("0 0 1-31 * 1", "2026-03-03 00:00", "2026-03-04 00:00:00"),
        ("0 0 13 * */1", "2026-03-03 00:00", "2026-03-13 00:00:00"),
        ("0 0 31 2 1", "2026-02-03 00:00", "2026-02-09 00:00:00"),
        ("59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59:00"),
    ],
)
def test_next_run_is_the_first_match_strictly_after_the_start(schedule: str, start: str, expected: str) -> None:
    assert after(schedule, start) == expected


@pytest.mark.parametrize("schedule", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_schedule_that_never_matches_is_valid_without_next_run(schedule: str) -> None:
    assert schedule_error(schedule) is None
    assert not CronSchedule.parse(schedule).can_fire
    assert after(schedule, "2026-01-01 00:00") is None


def test_no_next_run_after_year_9999() -> None:
    assert CronSchedule.parse("* * * * *").next_after(1e18) is None
    assert CronSchedule.parse("0 0 1 1 *").next_after(at("9999-12-31 00:00")) is None


@pytest.mark.parametrize(
    ("schedule", "error"),
    [
        ("", "a schedule has five fields (minute, hour, day of month, month, day of week), but this one has 0."),
        ("@hourly", "'@hourly' is a nickname; write five fields, such as '0 * * * *' for every hour."),
        ("60 * * * *", "'60' is out of range: minute must be from 0 to 59."),
        ("0 0 0 * *", "'0' is out of range: day of month must be from 1 to 31."),
        ("0 0 * 13 *", "'13' is out of range: month must be from 1 to 12, or JAN-DEC."),
        ("0 0 * * 8", "'8' is out of range: day of week must be from 0 to 7, or SUN-SAT."),
        ("5-1 * * * *", "'5-1' in minute is a reversed range; write the smaller value first, or two ranges."),
        (
            "0 0 * * FRI-SUN",
            (
                "'FRI-SUN' in day of week is a reversed range; write the smaller value first, or two ranges; "
                "Sunday is both 0 and 7."
            ),
        ),
        ("1,,2 * * * *", "'1,,2' in minute has an empty item before or after a comma."),
        ("0 1- * * *", "'1-' in hour is missing a value: hour must be from 0 to 23."),
        ("TZ=UTC 0 * * * *", "'TZ=UTC' is not supported: schedules are always in UTC."),
        ("*/0 * * * *", "'*/0' in minute needs a whole number of at least 1 after '/'."),
        ("*/x * * * *", "'*/x' in minute needs a whole number of at least 1 after '/'."),
        ("0 0 L * *", "'L' is not valid: day of month must be from 1 to 31, with the operators * - , and /."),
        ("a-5 * * * *", "'a' in 'a-5' is not valid: minute must be from 0 to 59, with the operators * - , and /."),
    ],
)
def test_schedule_error_names_the_field_and_the_rule(schedule: str, error: str) -> None:
    assert schedule_error(schedule) == error


@pytest.mark.parametrize(
    "schedule",
    [
        *("* * * * * *", "0 0 * * 5#2", "0 0 * * 5L", "0 0 LW * *", "0 0 ? * *", "0 0 15W * *", "* * * *"),
        *("1,,2 * * * *", ",1 * * * *", "-1 * * * *", "1- * * * *", "1--2 * * * *", "1/5/5 * * * *", "/5 * * * *"),
        *("٣ * * * *", "0 0 * * ſun", "+1 * * * *", "1.5 * * * *", "0x1 * * * *", "JAN * * * *", "0 0 * MON *"),
        *("0 0 * * SAT-SUN", "* * * * MONDAY", "99999999999 * * * *", "TZ=UTC * * * * *"),
    ],
)
def test_schedule_outside_the_documented_grammar_is_rejected(schedule: str) -> None:
    assert schedule_error(schedule) is not None
    with pytest.raises(ValueError, match=r"\S"):
        CronSchedule.parse(schedule)
