"""Cron schedules: the grammar that Scaleway documents, and the next run of a schedule.

A schedule has five fields, in UTC: minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC, day of week
0-7 (0 and 7 are Sunday) or SUN-SAT. The operators are ``*``, ``-``, ``,`` and ``/``; ``n/s`` means ``n-max/s``.
If both day fields are restricted (neither contains ``*`` or ``*/1``), a day matches when either field does. This
is the behaviour of classic cron, of Scaleway's documented example ``1 1 1 1 1`` and of robfig/cron, with which
Scaleway's Terraform provider validates schedules.

cronsim computes run times but does not validate: it also accepts ``L``, ``5#2`` and six fields. It is given day
fields as explicit lists because it combines ``*/n`` in one day field with the other one by AND.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name, its range, and the names of its values from the minimum on."""

    name: str
    minimum: int
    maximum: int
    names: tuple[str, ...] = ()

    def describe(self) -> str:
        names = f", or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.name} must be from {self.minimum} to {self.maximum}{names}"


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
)
_DAYS_IN_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_TIME_ZONE_PREFIXES: Final = ("TZ=", "CRON_TZ=")
_SUNDAY: Final = 7


def schedule_error(text: str) -> str | None:
    """Return what is wrong with a schedule, as one sentence, or ``None`` if it is valid.

    >>> schedule_error("*/5 * * * *") is None
    True
    >>> schedule_error("61 * * * *")
    "'61' is out of range: minute must be from 0 to 59."
    """
    try:
        CronSchedule.parse(text)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A validated schedule.

    Attributes:
        can_fire: Whether the schedule ever fires: ``0 0 31 2 *`` is valid but never does.
    """

    can_fire: bool
    _cronsim_expression: str

    @classmethod
    def parse(cls, text: str) -> CronSchedule:
        """Parse and validate a schedule.

        Raises:
            ValueError: The schedule is invalid. The message is one sentence.
        """
        if not text.isascii():
            raise ValueError(f"{text!r} contains characters that are not allowed in a schedule.")
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ValueError(_field_count_error(text, len(fields)))
        minutes, hours, days, months, weekdays = (
            _parse_field(field, part) for field, part in zip(_FIELDS, fields, strict=True)
        )
        any_day, any_weekday = _is_unrestricted(fields[2]), _is_unrestricted(fields[4])
        return cls(
            can_fire=not any_weekday or any(min(days) <= _DAYS_IN_MONTH[month - 1] for month in months),
            _cronsim_expression=" ".join(
                (
                    _format_values(minutes, _FIELDS[0]),
                    _format_values(hours, _FIELDS[1]),
                    "*" if any_day else _format_values(days),
                    _format_values(months, _FIELDS[3]),
                    "*" if any_weekday else _format_values(frozenset(day % _SUNDAY for day in weekdays)),
                )
            ),
        )

    def next_after(self, unix_seconds: float) -> float | None:
        """Return the first run strictly after a time, both in Unix seconds.

        Returns:
            ``None`` if the schedule never fires, or not before the year 10000.
        """
        if not self.can_fire:
            return None
        try:
            start = datetime.fromtimestamp(unix_seconds // 60 * 60, tz=UTC)
            return next(CronSim(self._cronsim_expression, start)).timestamp()
        except (StopIteration, OverflowError, ValueError, OSError):
            return None


def _field_count_error(text: str, count: int) -> str:
    first = text.split(maxsplit=1)[0] if text.split() else ""
    if first.startswith("@"):
        return f"{text.strip()!r} is a nickname; write five fields, such as '0 * * * *' for every hour."
    if first.upper().startswith(_TIME_ZONE_PREFIXES):
        return f"{first!r} is not supported: schedules are always in UTC."
    return (
        f"a schedule has five fields (minute, hour, day of month, month, day of week), but this one has {count}"
        f"{'; a field for seconds is not supported' if count == len(_FIELDS) + 1 else ''}."
    )


def _format_values(values: frozenset[int], field: _Field | None = None) -> str:
    """Format values for cronsim; with ``field``, as a step where possible, which cronsim evaluates faster."""
    ordered = sorted(values)
    if field is not None and len(ordered) > 1:
        step = ordered[1] - ordered[0]
        if ordered == list(range(field.minimum, field.maximum + 1, step)):
            return f"*/{step}" if step > 1 else "*"
    return ",".join(map(str, ordered))


def _is_unrestricted(field_text: str) -> bool:
    return any(item == "*" or re.fullmatch(r"\*/0*1", item) for item in field_text.split(","))


def _parse_field(field: _Field, field_text: str) -> frozenset[int]:
    items = field_text.split(",")
    if "" in items:
        raise ValueError(f"{field_text!r} in {field.name} has an empty item before or after a comma.")
    return frozenset(value for item in items for value in _parse_item(field, item))


def _parse_item(field: _Field, item: str) -> range:
    """Parse one list item: ``*``, ``n`` or ``a-b``, each with an optional ``/step``."""
    base, slash, step_text = item.partition("/")
    step = _parse_step(field, item, step_text) if slash else 1
    if base == "*":
        # 7 is a second name for Sunday. Including it in ``*`` would make ``*/7`` match other days than ``0-6/7``.
        return range(field.minimum, (6 if field.maximum == _SUNDAY else field.maximum) + 1, step)
    first, dash, last = base.partition("-")
    low = _parse_value(field, item, first)
    open_end = field.maximum if slash else low
    high = _parse_value(field, item, last) if dash else open_end
    if high < low:
        sunday = "; Sunday is both 0 and 7" if field.maximum == _SUNDAY else ""
        raise ValueError(
            f"{item!r} in {field.name} is a reversed range; write the smaller value first, or two ranges{sunday}."
        )
    return range(low, high + 1, step)


def _parse_step(field: _Field, item: str, text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text) or int(text) == 0:
        raise ValueError(f"{item!r} in {field.name} needs a whole number of at least 1 after '/'.")
    return int(text)


def _parse_value(field: _Field, item: str, text: str) -> int:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.minimum
    if not text:
        raise ValueError(f"{item!r} in {field.name} is missing a value: {field.describe()}.")
    if not _WHOLE_NUMBER.fullmatch(text):
        shown = f"{text!r} in {item!r}" if text != item else repr(item)
        raise ValueError(f"{shown} is not valid: {field.describe()}, with the operators * - , and /.")
    if not field.minimum <= int(text) <= field.maximum:
        raise ValueError(f"{item!r} is out of range: {field.describe()}.")
    return int(text)
