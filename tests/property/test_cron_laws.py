"""CronSchedule agrees with a direct, minute-by-minute implementation of the documented rule."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fnkit.contract.cron import CronSchedule, schedule_error
from tests.support.examples import examples

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = ((), (), (), ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
         ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))  # fmt: skip


@st.composite
def items(draw: st.DrawFn, position: int) -> str:
    low, high = RANGES[position]
    value = draw(st.integers(low, high))
    step = draw(st.integers(1, 40))
    names = NAMES[position]
    shown = names[value - low] if names and value - low < len(names) and draw(st.booleans()) else str(value)
    kind = draw(st.sampled_from(["*", "value", "range", "step", "range step", "open step"]))
    last = draw(st.integers(value, high))
    return {
        "*": "*",
        "value": shown,
        "range": f"{value}-{last}",
        "step": f"*/{step}",
        "range step": f"{value}-{last}/{step}",
        "open step": f"{value}/{step}",
    }[kind]


@st.composite
def schedules(draw: st.DrawFn) -> str:
    fields = [",".join(draw(st.lists(items(position), min_size=1, max_size=2))) for position in range(5)]
    return " ".join(fields)


STARTS = st.integers(0, 4_000_000_000)


def allowed(field: str, position: int) -> set[int]:
    """Return one field's values, computed directly from its text."""
    low, high = RANGES[position]
    values: set[int] = set()
    for item in field.split(","):
        base, _, step = item.partition("/")
        if base == "*":
            first, last = low, 6 if position == 4 else high
        else:
            ends = [
                NAMES[position].index(end) + low if end in NAMES[position] else int(end) for end in base.split("-")
            ]
            first, last = ends[0], ends[-1] if len(ends) > 1 or not step else high
        values.update(range(first, last + 1, int(step or 1)))
    return {value % 7 for value in values} if position == 4 else values


def matches(schedule: str, moment: datetime) -> bool:
    minute, hour, day, month, weekday = schedule.split()
    unrestricted = [any(item in ("*", "*/1") for item in field.split(",")) for field in (day, weekday)]
    on_day = moment.day in allowed(day, 2)
    on_weekday = moment.isoweekday() % 7 in allowed(weekday, 4)
    day_matches = (
        (on_day or on_weekday)
        if not any(unrestricted)
        else (on_day or unrestricted[0]) and (on_weekday or unrestricted[1])
    )
    return (
        day_matches
        and moment.minute in allowed(minute, 0)
        and moment.hour in allowed(hour, 1)
        and moment.month in allowed(month, 3)
    )


@given(schedules(), STARTS)
def test_next_run_is_the_first_matching_minute(schedule: str, start: int) -> None:
    tick = CronSchedule.parse(schedule).next_after(start)
    scanned = datetime.fromtimestamp(start // 60 * 60 + 60, tz=UTC)
    end = scanned + timedelta(hours=30)
    if tick is not None:
        assert tick > start
        assert tick % 60 == 0
        moment = datetime.fromtimestamp(tick, tz=UTC)
        assert matches(schedule, moment)
        end = min(end, moment)
    while scanned < end:
        assert not matches(schedule, scanned)
        scanned += timedelta(minutes=1)


@given(schedules(), STARTS)
def test_no_day_before_the_next_run_matches(schedule: str, start: int) -> None:
    """The same law over years: days match by their date, whatever the minute."""
    parsed = CronSchedule.parse(schedule)
    tick = parsed.next_after(start)
    _, _, day, month, weekday = schedule.split()
    moment = datetime.fromtimestamp(start, tz=UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    end = datetime.fromtimestamp(tick, tz=UTC) if tick is not None else moment + timedelta(days=9 * 366)
    for _ in range(9 * 366):
        if moment.date() >= end.date():
            break
        assert not matches(f"{moment.minute} {moment.hour} {day} {month} {weekday}", moment)
        moment += timedelta(days=1)


@given(schedules(), STARTS)
def test_run_times_strictly_increase(schedule: str, start: int) -> None:
    parsed = CronSchedule.parse(schedule)
    ticks: list[float] = [start]
    while len(ticks) < 6 and (tick := parsed.next_after(ticks[-1])) is not None:
        ticks.append(tick)
    assert ticks == sorted(set(ticks))


@given(schedules(), STARTS)
def test_next_run_equals_that_of_cronsim_without_steps_in_day_fields(schedule: str, start: int) -> None:
    fields = schedule.split()
    assume("*" not in fields[2] or fields[2] == "*")
    assume("*" not in fields[4] or fields[4] == "*")
    assume(not any("-" in item and "/" in item for field in fields for item in field.split(",")))
    tick = CronSchedule.parse(schedule).next_after(start)
    assume(tick is not None)
    assert tick == next(CronSim(schedule, datetime.fromtimestamp(start // 60 * 60, tz=UTC))).timestamp()


@given(st.text() | st.text(alphabet="0123456789*-,/ LW#?@JANSUN"))
def test_any_text_is_a_schedule_or_has_an_error(text: str) -> None:
    error = schedule_error(text)
    if error is None:
        CronSchedule.parse(text).next_after(0)
    else:
        assert error.endswith(".")


FIRST_YEAR, LAST_YEAR = 2023, 2028  # includes the leap years 2024 and 2028


@st.composite
def day_schedules(draw: st.DrawFn) -> str:
    """Generate schedules that are mostly rare enough to compare every run of six years."""
    minute = draw(st.one_of(items(0), st.integers(0, 59).map(str)))
    hour = draw(st.one_of(items(1), st.integers(0, 23).map(str)))
    return " ".join([minute, hour, draw(items(2)), draw(items(3)), draw(items(4))])


@settings(max_examples=examples(60), deadline=None)
@given(day_schedules() | schedules(), st.lists(st.integers(0, 6 * 366 * 1440), max_size=40))
def test_runs_of_six_years_equal_the_rule(schedule: str, offsets: list[int]) -> None:
    minute, hour, *rest = schedule.split()
    begin = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    days = [begin + timedelta(days=number) for number in range((LAST_YEAR - FIRST_YEAR + 1) * 366)]
    matching_days = [day for day in days if matches(" ".join(["*", "*", *rest]), day)]
    matching_minutes = [60 * h + m for h in sorted(allowed(hour, 1)) for m in sorted(allowed(minute, 0))]
    parsed, sparse = CronSchedule.parse(schedule), len(matching_days) * len(matching_minutes) <= 1500
    if sparse:
        expected = [day.timestamp() + 60 * one for day in matching_days for one in matching_minutes]
        found: list[float] = []
        at = begin.timestamp() - 1
        while len(found) < len(expected) and (tick := parsed.next_after(at)) is not None:
            found.append(tick)
            at = tick
        assert found == expected
    starts = [begin.timestamp() + 60 * offset for offset in offsets]
    for start in [moment + step for moment in starts for step in (-1, 0, 1)]:
        expected_next = _first_after(start, matching_days, matching_minutes)
        if expected_next is not None:
            assert parsed.next_after(start) == expected_next


def _first_after(start: float, matching_days: list[datetime], matching_minutes: list[int]) -> float | None:
    today = datetime.fromtimestamp(start, tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in matching_days[bisect_left(matching_days, today) :][:2]:
        for one in matching_minutes:
            if (tick := day.timestamp() + 60 * one) > start:
                return tick
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    "schedule",
    ["1 1 1 1 1", "*/17 5-9/2 */2 * MON-FRI", "59 23 28-31 2 *", "0 0 29 FEB SUN,3", "5/15 */7 * 3,11 */2"],
)
def test_runs_of_a_leap_year_and_the_next_equal_the_rule(schedule: str) -> None:
    fields = [allowed(field, position) for position, field in enumerate(schedule.split())]
    _, _, day_field, _, weekday_field = schedule.split()
    any_day = any(item in ("*", "*/1") for item in day_field.split(","))
    any_weekday = any(item in ("*", "*/1") for item in weekday_field.split(","))
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    expected: list[float] = []
    while moment.year < 2026:
        on_day, on_weekday = moment.day in fields[2], moment.isoweekday() % 7 in fields[4]
        if any_day or any_weekday:
            day_matches = (on_day or any_day) and (on_weekday or any_weekday)
        else:
            day_matches = on_day or on_weekday
        if day_matches and moment.minute in fields[0] and moment.hour in fields[1] and moment.month in fields[3]:
            expected.append(moment.timestamp())
        moment += timedelta(minutes=1)
    parsed, at = CronSchedule.parse(schedule), datetime(2024, 1, 1, tzinfo=UTC).timestamp() - 1
    found: list[float] = []
    while (tick := parsed.next_after(at)) is not None and tick < moment.timestamp():
        found.append(tick)
        at = tick
    assert found == expected
