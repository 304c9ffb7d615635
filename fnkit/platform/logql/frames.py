"""What a metric query gives: series of numbers over the same moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fnkit.platform.logql.entries import Entry
from fnkit.platform.logql.refusal import QueryRefused
from fnkit.platform.logql.syntax import Grouping, LogQuery

__all__ = ["POINTS_MAX", "Frame", "Moments", "ReadEntries", "Series", "Spend", "check_size", "grouped"]

POINTS_MAX = 5_000_000
"""Of all series of one answer together, which is some 200 MB."""

ReadEntries: TypeAlias = Callable[[LogQuery, int, int], Iterable[Entry]]
"""Reads the lines of a query's selector after one moment, up to and with another (Unix nanoseconds).

It may leave out lines that the query's stages would take out anyway, and does none of the stages.
"""

Spend: TypeAlias = Callable[[int], None]
"""Is told of work about to be done, in lines or numbers; refuses where it is too much, or too late."""


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments that a query is asked for: from start, every step, not after end. Unix nanoseconds."""

    start: int
    end: int
    step: int

    @property
    def count(self) -> int:
        """How many."""
        return (self.end - self.start) // self.step + 1

    def __getitem__(self, index: int) -> int:
        return self.start + index * self.step

    def window(self, time: int, interval: int) -> tuple[int, int]:
        """Return the moments whose windows ``(moment - interval, moment]`` hold a time: first and past-the-last."""
        first = -((self.start - time) // self.step)
        end = -((self.start - time - interval) // self.step)
        return max(first, 0), min(end, self.count)


@dataclass(slots=True)
class Series:
    """Labels, and a value for each moment; ``None`` where there is none."""

    labels: dict[str, str]
    values: list[float | None] = field(repr=False)


Frame: TypeAlias = list[Series]


def grouped(labels: Mapping[str, str], grouping: Grouping) -> dict[str, str]:
    """Return the labels that a group is known by."""
    if grouping.without:
        return {name: value for name, value in labels.items() if name not in grouping.labels}
    return {name: labels[name] for name in grouping.labels if labels.get(name)}


def check_size(series: int, moments: Moments) -> None:
    """Refuse an answer that would not fit.

    Raises:
        QueryRefused: more than ``POINTS_MAX`` numbers.
    """
    if series * moments.count > POINTS_MAX:
        raise QueryRefused(
            f"{series} series of {moments.count} points each are too many; aggregate them with sum(), or increase "
            "the value of the step parameter"
        )
