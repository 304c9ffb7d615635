"""``sum by (a) (…)`` and its relatives: several series → fewer, moment by moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from fnkit.platform.logql.frames import Frame, Moments, Series, grouped
from fnkit.platform.logql.syntax import Grouping, VectorAggregation
from fnkit.platform.logql.windows import safely, variance

__all__ = ["aggregate"]

_FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "avg": lambda values: math.fsum(values) / len(values),
    "count": lambda values: float(len(values)),
    "stdvar": variance,
    "stddev": lambda values: math.sqrt(variance(values)),
}


def aggregate(query: VectorAggregation, operand: Frame, moments: Moments) -> Frame:
    """Return the aggregated series."""
    if query.function in ("sort", "sort_desc"):
        return _sorted(operand, descending=query.function == "sort_desc")
    groups: dict[frozenset[tuple[str, str]], tuple[dict[str, str], Frame]] = {}
    for series in operand:
        labels = grouped(series.labels, query.grouping or Grouping(()))
        groups.setdefault(frozenset(labels.items()), (labels, []))[1].append(series)
    if query.parameter is not None:
        largest = query.function == "topk"
        chosen = [_chosen(members, query.parameter, moments, largest=largest) for _, members in groups.values()]
        return _sorted([series for frame in chosen for series in frame], descending=largest)
    function = _FUNCTIONS[query.function]
    return [Series(labels, _together(members, function, moments)) for labels, members in groups.values()]


def _together(members: Frame, function: Callable[[Sequence[float]], float], moments: Moments) -> list[float | None]:
    made: list[float | None] = []
    for index in range(moments.count):
        values = [value for series in members if (value := series.values[index]) is not None]
        made.append(safely(function, values) if values else None)
    return made


def _chosen(members: Frame, count: int, moments: Moments, *, largest: bool) -> Frame:
    """Return, moment by moment, the ``count`` largest or smallest; they keep their labels."""
    made = [Series(series.labels, [None] * moments.count) for series in members]
    for index in range(moments.count):
        there = [
            (value, number) for number, series in enumerate(members) if (value := series.values[index]) is not None
        ]
        there.sort(key=lambda one: _rank(one[0], largest=largest))
        for value, number in there[:count]:
            made[number].values[index] = value
    return made


def _rank(value: float, *, largest: bool) -> tuple[bool, float]:
    return (math.isnan(value), -value if largest else value)


def _sorted(frame: Frame, *, descending: bool) -> Frame:
    """Return the series in order of their last values, which is what an instant query shows."""

    def rank(series: Series) -> tuple[bool, float]:
        value = series.values[-1]
        return _rank(math.nan if value is None else value, largest=descending)

    return sorted(frame, key=rank)
