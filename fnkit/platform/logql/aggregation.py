"""Vector aggregations such as ``sum by (a) (…)``: combine several series at each time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from fnkit.platform.logql.frames import SeriesList, TimeSteps, Series, group_labels
from fnkit.platform.logql.syntax import Grouping, VectorAggregation
from fnkit.platform.logql.windows import apply_or_nan, population_variance

__all__ = ["aggregate"]

_AGGREGATION_FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "avg": lambda values: math.fsum(values) / len(values),
    "count": lambda values: float(len(values)),
    "stdvar": population_variance,
    "stddev": lambda values: math.sqrt(population_variance(values)),
}


def aggregate(query: VectorAggregation, operand: SeriesList, steps: TimeSteps) -> SeriesList:
    """Return the aggregated series.

    Args:
        query: The aggregation.
        operand: The series to aggregate.
        steps: The times of the values.
    """
    if query.function in ("sort", "sort_desc"):
        return _sort_by_last_value(operand, descending=query.function == "sort_desc")
    groups: dict[frozenset[tuple[str, str]], tuple[dict[str, str], SeriesList]] = {}
    for series in operand:
        labels = group_labels(series.labels, query.grouping or Grouping(()))
        groups.setdefault(frozenset(labels.items()), (labels, []))[1].append(series)
    if query.parameter is not None:
        largest = query.function == "topk"
        selected = [
            _select_extremes(members, query.parameter, steps, largest=largest) for _, members in groups.values()
        ]
        return _sort_by_last_value([series for group in selected for series in group], descending=largest)
    function = _AGGREGATION_FUNCTIONS[query.function]
    return [Series(labels, _aggregate_group(members, function, steps)) for labels, members in groups.values()]


def _aggregate_group(
    members: SeriesList, function: Callable[[Sequence[float]], float], steps: TimeSteps
) -> list[float | None]:
    result: list[float | None] = []
    for index in range(steps.count):
        values = [value for series in members if (value := series.values[index]) is not None]
        result.append(apply_or_nan(function, values) if values else None)
    return result


def _select_extremes(members: SeriesList, count: int, steps: TimeSteps, *, largest: bool) -> SeriesList:
    """Return the ``count`` series with the largest or smallest values at each time; they keep their labels."""
    result = [Series(series.labels, [None] * steps.count) for series in members]
    for index in range(steps.count):
        present = [
            (value, number) for number, series in enumerate(members) if (value := series.values[index]) is not None
        ]
        present.sort(key=lambda pair: _sort_key(pair[0], largest=largest))
        for value, number in present[:count]:
            result[number].values[index] = value
    return result


def _sort_key(value: float, *, largest: bool) -> tuple[bool, float]:
    # NaN compares false with everything, so it needs a sort key of its own: NaN is always last.
    return (math.isnan(value), -value if largest else value)


def _sort_by_last_value(series_list: SeriesList, *, descending: bool) -> SeriesList:
    """Return the series sorted by their last value, which is the only value of an instant query."""

    def rank(series: Series) -> tuple[bool, float]:
        value = series.values[-1]
        return _sort_key(math.nan if value is None else value, largest=descending)

    return sorted(series_list, key=rank)
