"""Evaluation of metric queries: range aggregations, vector aggregations and binary operators.

The result is a list of series, or a number for a query without log streams.
"""

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
# Sums of whole numbers are exact, so these functions need no list of samples (see sum_windows).
_ADDED_UP: Final = BYTES_FUNCTIONS | {"count_over_time", "rate"}
# sum by (…) of these functions is the function itself over the coarser groups.
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
    steps: Moments
    read: ReadEntries
    charge: Spend

    def of(self, query: MetricQuery) -> Frame | float:
        match query:
            case Number():
                return query.value
            case Vector():
                return [Series({}, [query.value] * self.steps.count)]
            case RangeAggregation():
                return self._range(query, query.grouping)
            case VectorAggregation():
                return aggregate(query, self._operand(query), self.steps)
            case BinaryOperation():
                return self._binary(query)
            case _:
                assert_never(query)

    def _operand(self, query: VectorAggregation) -> Frame:
        """Evaluate the operand of an aggregation.

        A sum of sums is computed while lines are read, with the labels of the outer aggregation: a few series are
        kept instead of, say, one for each request id.
        """
        operand = query.operand
        if (
            query.function == "sum"
            and isinstance(operand, RangeAggregation)
            and operand.function in _PUSHED_DOWN
            and operand.grouping is None
        ):
            return self._range(operand, query.grouping or Grouping(()))
        result = self.of(operand)
        return result if isinstance(result, list) else [Series({}, [result] * self.steps.count)]

    def _range(self, query: RangeAggregation, grouping: Grouping | None) -> Frame:
        steps, interval = self.steps, query.log_range.interval
        span = (steps.start - interval, steps[steps.count - 1])
        samples = read_samples(query.function, query.log_range, grouping, span, self.read)
        seconds = interval / _SECOND if query.function in ("rate", "bytes_rate") else 1.0
        if query.function == "absent_over_time":
            return self._absent(query, add_up(((t, {}, 1.0) for t, _, _ in samples), steps, interval, 1.0))
        if query.function in _ADDED_UP and query.log_range.unwrap is None:
            return add_up(samples, steps, interval, seconds)
        function = _FOLDS.get(query.function) or quantile(query.parameter or 0.0)
        if seconds != 1.0:
            return fold(samples, steps, interval, lambda values: math.fsum(values) / seconds, self.charge)
        return fold(samples, steps, interval, function, self.charge)

    def _absent(self, query: RangeAggregation, present: Frame) -> Frame:
        """Return 1 at the times without lines, with the labels for which the selector requires a single value."""
        exact = [matcher for matcher in query.log_range.query.selector if matcher.operator == "="]
        names = [matcher.name for matcher in exact]
        labels = {matcher.name: matcher.value for matcher in exact if names.count(matcher.name) == 1}
        counts = present[0].values if present else [None] * self.steps.count
        values: list[float | None] = [1.0 if count is None else None for count in counts]
        return [Series(labels, values)] if any(values) else []

    def _binary(self, query: BinaryOperation) -> Frame | float:
        left, right = self.of(query.left), self.of(query.right)
        if isinstance(left, float) and isinstance(right, float):
            return calculate(query.operator, left, right)
        return combine(query, left, right, self.steps)


def evaluate(query: MetricQuery, steps: Moments, read: ReadEntries, charge: Spend) -> Frame | float:
    """Evaluate a metric query and return its series, or its number.

    Args:
        query: The query.
        steps: The times of the values.
        read: Returns the lines of a selector; see ``ReadEntries``.
        charge: Accounts for work and raises when a limit is exceeded; see ``ChargeWork``.

    Returns:
        The series that have a value at any time, or a number.

    Raises:
        QueryError: The result is too large, a line has an error, or series do not match one to one.
    """
    result = _Evaluation(steps, read, charge).of(query)
    if isinstance(result, float):
        return result
    return [series for series in result if any(value is not None for value in series.values)]
