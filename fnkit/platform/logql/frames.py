"""Series of numbers at common times, which are the values of metric queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.syntax import Grouping, LogQuery

__all__ = [
    "MAX_POINTS",
    "SeriesList",
    "TimeSteps",
    "ReadEntries",
    "Series",
    "ChargeWork",
    "check_point_count",
    "group_labels",
]

MAX_POINTS = 5_000_000
"""Maximum number of values in all series of a result together, which take about 200 MB."""

ReadEntries: TypeAlias = Callable[[LogQuery, int, int], Iterable[LogEntry]]
"""Returns the lines of a query's selector in a time span: start excluded, end included, in Unix nanoseconds.

It does not apply the stages of the query, but may omit lines that they would remove anyway.
"""

ChargeWork: TypeAlias = Callable[[int], None]
"""Accounts for a number of values about to be processed; raises ``QueryError`` when a limit is exceeded."""


@dataclass(frozen=True, slots=True)
class TimeSteps:
    """The times at which a query is evaluated: start, start + step, … up to end. Unix nanoseconds."""

    start: int
    end: int
    step: int

    @property
    def count(self) -> int:
        """The number of times."""
        return (self.end - self.start) // self.step + 1

    def __getitem__(self, index: int) -> int:
        return self.start + index * self.step

    def window_indexes(self, time: int, interval: int) -> tuple[int, int]:
        """Return the times whose window ``(time - interval, time]`` contains a sample.

        Args:
            time: The time of the sample.
            interval: The length of the windows.

        Returns:
            The index of the first of these times, and the index after the last.
        """
        # Negated floor division rounds up.
        first = -((self.start - time) // self.step)
        end = -((self.start - time - interval) // self.step)
        return max(first, 0), min(end, self.count)


@dataclass(slots=True)
class Series:
    """Labels and a value for each time, or ``None`` at times without a value."""

    labels: dict[str, str]
    values: list[float | None] = field(repr=False)


SeriesList: TypeAlias = list[Series]


def group_labels(labels: Mapping[str, str], grouping: Grouping) -> dict[str, str]:
    """Return the labels by which an aggregation groups a series; a missing label is omitted."""
    if grouping.without:
        return {name: value for name, value in labels.items() if name not in grouping.labels}
    return {name: labels[name] for name in grouping.labels if labels.get(name)}


def check_point_count(series_count: int, steps: TimeSteps) -> None:
    """Check the size of a result before it is allocated.

    Raises:
        QueryError: The result has more than ``MAX_POINTS`` values.
    """
    if series_count * steps.count > MAX_POINTS:
        raise QueryError(
            f"{series_count} series of {steps.count} points each are too many; aggregate them with sum(), or increase "
            "the value of the step parameter"
        )
