"""Evaluation of metric queries: range aggregations, vector aggregations and binary operators.

The result is a list of series, or a number for a query without log streams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from fnkit.platform.logql.aggregation import aggregate
from fnkit.platform.logql.arithmetic import apply_operator, combine_series
from fnkit.platform.logql.frames import SeriesList, TimeSteps, ReadEntries, Series, ChargeWork
from fnkit.platform.logql.samples import BYTES_FUNCTIONS, read_samples
from fnkit.platform.logql.syntax import (
    BinaryOperation,
    Grouping,
    MetricQuery,
    NumberLiteral,
    RangeAggregation,
    VectorLiteral,
    VectorAggregation,
)
from fnkit.platform.logql.windows import sum_windows, apply_to_windows, quantile_function, population_variance

__all__ = ["evaluate"]

_NANOSECONDS_PER_SECOND: Final = 10**9
# Sums of whole numbers are exact, so these functions need no list of samples (see sum_windows).
_SUMMED_FUNCTIONS: Final = BYTES_FUNCTIONS | {"count_over_time", "rate"}
# sum by (…) of these functions is the function itself over the coarser groups.
_PUSHED_DOWN_FUNCTIONS: Final = _SUMMED_FUNCTIONS | {"sum_over_time"}
_WINDOW_FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum_over_time": math.fsum,
    "rate": math.fsum,
    "avg_over_time": lambda values: math.fsum(values) / len(values),
    "min_over_time": min,
    "max_over_time": max,
    "stdvar_over_time": population_variance,
    "stddev_over_time": lambda values: math.sqrt(population_variance(values)),
    "first_over_time": lambda values: values[0],
    "last_over_time": lambda values: values[-1],
}


@dataclass(frozen=True, slots=True)
class _Evaluator:
    steps: TimeSteps
    read: ReadEntries
    charge: ChargeWork

    def evaluate(self, query: MetricQuery) -> SeriesList | float:
        match query:
            case NumberLiteral():
                return query.value
            case VectorLiteral():
                return [Series({}, [query.value] * self.steps.count)]
            case RangeAggregation():
                return self._evaluate_range(query, query.grouping)
            case VectorAggregation():
                return aggregate(query, self._evaluate_operand(query), self.steps)
            case BinaryOperation():
                return self._evaluate_binary(query)
            case _:
                assert_never(query)

    def _evaluate_operand(self, query: VectorAggregation) -> SeriesList:
        """Evaluate the operand of an aggregation.

        A sum of sums is computed while lines are read, with the labels of the outer aggregation: a few series are
        kept instead of, say, one for each request id.
        """
        operand = query.operand
        if (
            query.function == "sum"
            and isinstance(operand, RangeAggregation)
            and operand.function in _PUSHED_DOWN_FUNCTIONS
            and operand.grouping is None
        ):
            return self._evaluate_range(operand, query.grouping or Grouping(()))
        result = self.evaluate(operand)
        return result if isinstance(result, list) else [Series({}, [result] * self.steps.count)]

    def _evaluate_range(self, query: RangeAggregation, grouping: Grouping | None) -> SeriesList:
        steps, interval = self.steps, query.log_range.interval
        span = (steps.start - interval, steps[steps.count - 1])
        samples = read_samples(query.function, query.log_range, grouping, span, self.read)
        seconds = interval / _NANOSECONDS_PER_SECOND if query.function in ("rate", "bytes_rate") else 1.0
        if query.function == "absent_over_time":
            return self._evaluate_absent(
                query, sum_windows(((t, {}, 1.0) for t, _, _ in samples), steps, interval, 1.0)
            )
        if query.function in _SUMMED_FUNCTIONS and query.log_range.unwrap is None:
            return sum_windows(samples, steps, interval, seconds)
        function = _WINDOW_FUNCTIONS.get(query.function) or quantile_function(query.parameter or 0.0)
        if seconds != 1.0:
            return apply_to_windows(
                samples, steps, interval, lambda values: math.fsum(values) / seconds, self.charge
            )
        return apply_to_windows(samples, steps, interval, function, self.charge)

    def _evaluate_absent(self, query: RangeAggregation, present: SeriesList) -> SeriesList:
        """Return 1 at the times without lines, with the labels for which the selector requires a single value."""
        exact = [matcher for matcher in query.log_range.query.selector if matcher.operator == "="]
        names = [matcher.name for matcher in exact]
        labels = {matcher.name: matcher.value for matcher in exact if names.count(matcher.name) == 1}
        counts = present[0].values if present else [None] * self.steps.count
        values: list[float | None] = [1.0 if count is None else None for count in counts]
        return [Series(labels, values)] if any(values) else []

    def _evaluate_binary(self, query: BinaryOperation) -> SeriesList | float:
        left, right = self.evaluate(query.left), self.evaluate(query.right)
        if isinstance(left, float) and isinstance(right, float):
            return apply_operator(query.operator, left, right)
        return combine_series(query, left, right, self.steps)


def evaluate(query: MetricQuery, steps: TimeSteps, read: ReadEntries, charge: ChargeWork) -> SeriesList | float:
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
    result = _Evaluator(steps, read, charge).evaluate(query)
    if isinstance(result, float):
        return result
    return [series for series in result if any(value is not None for value in series.values)]
