"""The cron grammar, as Scaleway documents it, and the next time a schedule fires.

Five fields in UTC: minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC, day of week 0-7 (0 and 7
are Sunday) or SUN-SAT; operators ``*``, ``-``, ``,`` and ``/`` (Scaleway's cron-schedules page). A day matches
when either day field does, if both are restricted, that is, neither contains a bare ``*`` (or ``*/1``); this is
classic cron as the documented example ``1 1 1 1 1`` reads and as robfig/cron, which Terraform checks with,
implements. ``n/s`` means ``n-max/s``, as there.

We check the grammar before any library sees the text, since cronsim accepts more (``L``, ``5#2``, six fields),
and hand cronsim day fields spelt out as lists, since it reads ``*/n`` in a day field as AND (decision 31).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim

__all__ = ["Schedule", "schedule_fault"]


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five: what it is called, its lowest and highest value, and the names for its values."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first_named: int = 0

    def describe(self) -> str:
        words = f", or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.name} goes from {self.low} to {self.high}{words}"


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of week", 0, 7, _WEEKDAYS, 0),
)
_DAYS_IN_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_TIME_ZONES: Final = ("TZ=", "CRON_TZ=")
_SUNDAY: Final = 7


class _Fault(Exception):
    """A part of a field does not follow the grammar; the text says which and why."""


def schedule_fault(text: str) -> str | None:
    """What is wrong with a schedule, as one sentence, or ``None``.

    >>> schedule_fault("*/5 * * * *") is None
    True
    >>> schedule_fault("61 * * * *")
    "'61' is out of range: minute goes from 0 to 59."
    """
    try:
        Schedule.parse(text)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A checked schedule. ``text`` is as written; the sets hold every value that matches.

    weekdays: 0 is Sunday, 7 does not occur. any_day, any_weekday: whether that field restricts nothing.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    _spelt_out: str

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read a schedule.

        Raises:
            ValueError: with one sentence on what is wrong.
        """
        if not text.isascii():
            raise ValueError(f"{text!r} holds characters that a schedule cannot have.")
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ValueError(_count_fault(text, len(fields)))
        try:
            minutes, hours, days, months, weekdays = (
                _values(field, part) for field, part in zip(_FIELDS, fields, strict=True)
            )
        except _Fault as fault:
            raise ValueError(str(fault)) from None
        weekdays = frozenset(day % _SUNDAY for day in weekdays)
        any_day, any_weekday = _unrestricted(fields[2]), _unrestricted(fields[4])
        return cls(
            text=text,
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=weekdays,
            any_day=any_day,
            any_weekday=any_weekday,
            _spelt_out=" ".join(
                (
                    _list(minutes, _FIELDS[0]),
                    _list(hours, _FIELDS[1]),
                    "*" if any_day else _list(days),
                    _list(months, _FIELDS[3]),
                    "*" if any_weekday else _list(weekdays),
                )
            ),
        )

    @property
    def fires(self) -> bool:
        """Whether it fires at all: ``0 0 31 2 *`` is valid and never does."""
        if not self.any_weekday:
            return True
        return any(min(self.days) <= _DAYS_IN_MONTH[month - 1] for month in self.months)

    def next_after(self, unix_seconds: float) -> float | None:
        """The first tick strictly after a time, both in Unix seconds; ``None`` when there is none.

        None as well when the tick would lie past the year 9999.
        """
        if not self.fires:
            return None
        try:
            start = datetime.fromtimestamp(unix_seconds // 60 * 60, tz=UTC)
            return next(CronSim(self._spelt_out, start)).timestamp()
        except (StopIteration, OverflowError, ValueError, OSError):
            return None


def _count_fault(text: str, count: int) -> str:
    first = text.split(maxsplit=1)[0] if text.split() else ""
    if first.startswith("@"):
        return f"{text.strip()!r} is a nickname; write the five fields, such as '0 * * * *' for every hour."
    if first.upper().startswith(_TIME_ZONES):
        return f"{first!r} cannot be given: schedules are in UTC, always."
    return (
        f"a schedule has five fields (minute, hour, day of month, month, day of week), and this has {count}"
        f"{'; seconds cannot be given' if count == len(_FIELDS) + 1 else ''}."
    )


def _list(values: frozenset[int], field: _Field | None = None) -> str:
    """Spell values out for cronsim; with ``field``, as a step where they are one, which it reads faster."""
    ordered = sorted(values)
    if field is not None and len(ordered) > 1:
        step = ordered[1] - ordered[0]
        if ordered == list(range(field.low, field.high + 1, step)):
            return f"*/{step}" if step > 1 else "*"
    return ",".join(map(str, ordered))


def _unrestricted(part: str) -> bool:
    return any(item == "*" or re.fullmatch(r"\*/0*1", item) for item in part.split(","))


def _values(field: _Field, part: str) -> frozenset[int]:
    items = part.split(",")
    if "" in items:
        raise _Fault(f"{part!r} in {field.name} has nothing before or after a comma.")
    return frozenset(value for item in items for value in _item(field, item))


def _item(field: _Field, item: str) -> range:
    """One element of a list: ``*``, ``n``, ``a-b``, each with or without ``/step``."""
    base, slash, step_text = item.partition("/")
    step = _step(field, item, step_text) if slash else 1
    if base == "*":
        # 7 is Sunday a second time: counting it would make ``*/7`` differ from ``0-6/7`` for no reason.
        return range(field.low, (6 if field.high == _SUNDAY else field.high) + 1, step)
    first, dash, last = base.partition("-")
    low = _value(field, item, first)
    open_end = field.high if slash else low
    high = _value(field, item, last) if dash else open_end
    if high < low:
        sunday = "; Sunday is 7 as well as 0" if field.high == _SUNDAY else ""
        raise _Fault(
            f"{item!r} in {field.name} runs backwards; write the smaller value first, or two ranges{sunday}."
        )
    return range(low, high + 1, step)


def _step(field: _Field, item: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise _Fault(f"{item!r} in {field.name} needs a whole number from 1 after '/'.")
    return int(text)


def _value(field: _Field, item: str, text: str) -> int:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.first_named
    if not text:
        raise _Fault(f"{item!r} in {field.name} lacks a value: {field.describe()}.")
    if not _NUMBER.fullmatch(text):
        shown = f"{text!r} in {item!r}" if text != item else repr(item)
        raise _Fault(f"{shown} cannot be read: {field.describe()}, with the operators * - , and /.")
    if not field.low <= int(text) <= field.high:
        raise _Fault(f"{item!r} is out of range: {field.describe()}.")
    return int(text)
