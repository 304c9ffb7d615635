"""A metric query over its moments → series, or one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from fnkit.platform.logql.aggregation import aggregate
from fnkit.platform.logql.arithmetic import calculate, combine
from fnkit.platform.logql.frames import Frame, Moments, ReadEntries, Series, Spend
from fnkit.platform.logql.samples import BYTES_FUNCTIONS, read_samples
from fnkit.platform.logql.syntax import (
    BinaryOperation,
    Grouping,
    MetricQuery,
    Number,
    RangeAggregation,
    Vector,
    VectorAggregation,
)
from fnkit.platform.logql.windows import add_up, fold, quantile, variance

__all__ = ["evaluate"]

_SECOND: Final = 10**9
_ADDED_UP: Final = BYTES_FUNCTIONS | {"count_over_time", "rate"}
_PUSHED_DOWN: Final = _ADDED_UP | {"sum_over_time"}
_FOLDS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum_over_time": math.fsum,
    "rate": math.fsum,
    "avg_over_time": lambda values: math.fsum(values) / len(values),
    "min_over_time": min,
    "max_over_time": max,
    "stdvar_over_time": variance,
    "stddev_over_time": lambda values: math.sqrt(variance(values)),
    "first_over_time": lambda values: values[0],
    "last_over_time": lambda values: values[-1],
}


@dataclass(frozen=True, slots=True)
class _Evaluation:
    moments: Moments
    read: ReadEntries
    spend: Spend

    def of(self, query: MetricQuery) -> Frame | float:
        match query:
            case Number():
                return query.value
            case Vector():
                return [Series({}, [query.value] * self.moments.count)]
            case RangeAggregation():
                return self._range(query, query.grouping)
            case VectorAggregation():
                return aggregate(query, self._operand(query), self.moments)
            case BinaryOperation():
                return self._binary(query)
            case _:
                assert_never(query)

    def _operand(self, query: VectorAggregation) -> Frame:
        """Evaluate what is aggregated. Sums of sums are made while lines are read: few series instead of many."""
        operand = query.operand
        if (
            query.function == "sum"
            and isinstance(operand, RangeAggregation)
            and operand.function in _PUSHED_DOWN
            and operand.grouping is None
        ):
            return self._range(operand, query.grouping or Grouping(()))
        made = self.of(operand)
        return made if isinstance(made, list) else [Series({}, [made] * self.moments.count)]

    def _range(self, query: RangeAggregation, grouping: Grouping | None) -> Frame:
        moments, interval = self.moments, query.log_range.interval
        span = (moments.start - interval, moments[moments.count - 1])
        samples = read_samples(query.function, query.log_range, grouping, span, self.read)
        seconds = interval / _SECOND if query.function in ("rate", "bytes_rate") else 1.0
        if query.function == "absent_over_time":
            return self._absent(query, add_up(((t, {}, 1.0) for t, _, _ in samples), moments, interval, 1.0))
        if query.function in _ADDED_UP and query.log_range.unwrap is None:
            return add_up(samples, moments, interval, seconds)
        function = _FOLDS.get(query.function) or quantile(query.parameter or 0.0)
        if seconds != 1.0:
            return fold(samples, moments, interval, lambda values: math.fsum(values) / seconds, self.spend)
        return fold(samples, moments, interval, function, self.spend)

    def _absent(self, query: RangeAggregation, present: Frame) -> Frame:
        """Return 1 where there is nothing, with the labels that the selector says exactly."""
        named = [m for m in query.log_range.query.selector if m.operator == "="]
        names = [matcher.name for matcher in named]
        labels = {m.name: m.value for m in named if names.count(m.name) == 1}
        there = present[0].values if present else [None] * self.moments.count
        values: list[float | None] = [1.0 if value is None else None for value in there]
        return [Series(labels, values)] if any(values) else []

    def _binary(self, query: BinaryOperation) -> Frame | float:
        left, right = self.of(query.left), self.of(query.right)
        if isinstance(left, float) and isinstance(right, float):
            return calculate(query.operator, left, right)
        return combine(query, left, right, self.moments)


def evaluate(query: MetricQuery, moments: Moments, read: ReadEntries, spend: Spend) -> Frame | float:
    """Return a query's series, without those that have no value at all, or its one number.

    Raises:
        QueryRefused: too large, a line in error, or series that do not match one to one.
    """
    made = _Evaluation(moments, read, spend).of(query)
    if isinstance(made, float):
        return made
    return [series for series in made if any(value is not None for value in series.values)]
