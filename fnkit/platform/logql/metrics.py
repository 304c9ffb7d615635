"""Evaluation of metric queries: range aggregations, vector aggregations and binary operators.

The result is a list of series, or a number for a query without log streams.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from fnkit.platform.logql import syntax
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.pipeline import COMPARISONS
from fnkit.platform.logql.windows import (
    BYTES_FUNCTIONS,
    ChargeWork,
    ReadEntries,
    Series,
    SeriesList,
    Signature,
    TimeSteps,
    apply_or_nan,
    apply_to_windows,
    group_labels,
    population_variance,
    quantile_function,
    read_samples,
    sum_windows,
)

_AGGREGATION_FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "avg": lambda values: math.fsum(values) / len(values),
    "count": lambda values: float(len(values)),
    "stdvar": population_variance,
    "stddev": lambda values: math.sqrt(population_variance(values)),
}

_NANOSECONDS_PER_SECOND: Final = 10**9
# Sums of whole numbers are exact, so these functions need no list of samples (see sum_windows).
_SUMMED_FUNCTIONS: Final = BYTES_FUNCTIONS | {"count_over_time", "rate"}
# sum by (…) of these functions is the function itself over the coarser groups.
_PUSHED_DOWN_FUNCTIONS: Final = _SUMMED_FUNCTIONS | {"sum_over_time"}
_WINDOW_FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    **{f"{name}_over_time": function for name, function in _AGGREGATION_FUNCTIONS.items()},
    "rate": math.fsum,
    "first_over_time": lambda values: values[0],
    "last_over_time": lambda values: values[-1],
}


def aggregate(query: syntax.VectorAggregation, operand: SeriesList, steps: TimeSteps) -> SeriesList:
    """Return the aggregated series.

    Args:
        query: The aggregation.
        operand: The series to aggregate.
        steps: The times of the values.
    """
    if query.function in ("sort", "sort_desc"):
        return _sort_by_last_value(operand, descending=query.function == "sort_desc")
    groups: dict[Signature, tuple[dict[str, str], SeriesList]] = {}
    for series in operand:
        labels = group_labels(series.labels, query.grouping or syntax.Grouping(()))
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


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if left == 0 else math.nan


_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else math.nan,
    "%": lambda left, right: math.fmod(left, right) if right and math.isfinite(left) else math.nan,
    "^": _power,
}


def _apply_operator(name: str, left: float, right: float) -> float:
    """Apply an operator to two numbers; a comparison returns 0 or 1."""
    if name in COMPARISONS:
        return float(COMPARISONS[name](left, right))
    return _ARITHMETIC[name](left, right)


def _combine_series(
    query: syntax.BinaryOperation, left: SeriesList, right: SeriesList, steps: TimeSteps
) -> SeriesList:
    """Apply an operator to two lists of series.

    Two series match if they have the same values of the matching labels; series without a match are dropped.

    Raises:
        QueryError: Several series of one side match the same series of the other.
    """
    if query.operator in ("and", "or", "unless"):
        return _set_operation(query, left, right, steps)
    others = _by_signature(right, query.matching)
    result: SeriesList = []
    seen: set[Signature] = set()
    for series in left:
        signature = _signature(series, query.matching)
        other = others.get(signature)
        if other is None:
            continue
        if signature in seen:
            raise _ambiguous_match_error()
        seen.add(signature)
        pairs = zip(series.values, other.values, strict=True)
        labels = group_labels(series.labels, query.matching)
        result.append(
            Series(labels, [_combine_values(query, left_value, right_value) for left_value, right_value in pairs])
        )
    return result


def _combine_with_number(
    query: syntax.BinaryOperation, series_list: SeriesList, number: float, *, is_left: bool
) -> SeriesList:
    """Apply an operator to series and a number, which is the left or the right operand."""
    result = []
    for series in series_list:
        values = [
            _combine_values(query, number, value) if is_left else _combine_values(query, value, number)
            for value in series.values
        ]
        if query.operator in COMPARISONS and not query.as_bool:
            # A comparison without "bool" filters: the result has the value of the series, on either side.
            values = [None if kept is None else value for kept, value in zip(values, series.values, strict=True)]
        result.append(Series(series.labels, values))
    return result


def _combine_values(query: syntax.BinaryOperation, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if query.operator in COMPARISONS and not query.as_bool:
        return left if COMPARISONS[query.operator](left, right) else None
    return _apply_operator(query.operator, left, right)


def _set_operation(
    query: syntax.BinaryOperation, left: SeriesList, right: SeriesList, steps: TimeSteps
) -> SeriesList:
    matching = query.matching
    in_right = [_signatures_at(right, matching, index) for index in range(steps.count)]
    if query.operator == "or":
        in_left = [_signatures_at(left, matching, index) for index in range(steps.count)]
        return _merge_equal_labels(
            [*left, *(_filter_values(series, matching, in_left, keep_matches=False) for series in right)]
        )
    return [_filter_values(series, matching, in_right, keep_matches=query.operator == "and") for series in left]


def _merge_equal_labels(series_list: SeriesList) -> SeriesList:
    """Merge series with equal labels from both sides of ``or``, which never have values at the same time."""
    result: dict[Signature, Series] = {}
    for series in series_list:
        existing = result.setdefault(frozenset(series.labels.items()), series)
        if existing is not series:
            pairs = zip(existing.values, series.values, strict=True)
            merged: list[float | None] = [other if value is None else value for value, other in pairs]
            result[frozenset(series.labels.items())] = Series(series.labels, merged)
    return list(result.values())


def _signatures_at(series_list: SeriesList, matching: syntax.Grouping, index: int) -> set[Signature]:
    return {_signature(series, matching) for series in series_list if series.values[index] is not None}


def _filter_values(
    series: Series,
    matching: syntax.Grouping,
    present: list[set[Signature]],
    *,
    keep_matches: bool,
) -> Series:
    signature = _signature(series, matching)
    values = [
        value if (signature in signatures) is keep_matches else None
        for value, signatures in zip(series.values, present, strict=True)
    ]
    return Series(series.labels, values)


def _by_signature(series_list: SeriesList, matching: syntax.Grouping) -> dict[Signature, Series]:
    found: dict[Signature, Series] = {}
    for series in series_list:
        signature = _signature(series, matching)
        if signature in found:
            raise _ambiguous_match_error()
        found[signature] = series
    return found


def _signature(series: Series, matching: syntax.Grouping) -> Signature:
    return frozenset(group_labels(series.labels, matching).items())


def _ambiguous_match_error() -> QueryError:
    return QueryError(
        "multiple matches for labels: several series match the same one; group_left and group_right are not "
        "supported here, so aggregate one side first"
    )


@dataclass(frozen=True, slots=True)
class _Evaluator:
    steps: TimeSteps
    read: ReadEntries
    charge: ChargeWork

    def evaluate(self, query: syntax.MetricQuery) -> SeriesList | float:
        match query:
            case syntax.NumberLiteral():
                return query.value
            case syntax.VectorLiteral():
                return [Series({}, [query.value] * self.steps.count)]
            case syntax.RangeAggregation():
                return self._evaluate_range(query, query.grouping)
            case syntax.VectorAggregation():
                return aggregate(query, self._evaluate_operand(query), self.steps)
            case syntax.BinaryOperation():
                return self._evaluate_binary(query)
            case _:
                assert_never(query)

    def _evaluate_operand(self, query: syntax.VectorAggregation) -> SeriesList:
        """Evaluate the operand of an aggregation.

        A sum of sums is computed while lines are read, with the labels of the outer aggregation: a few series are
        kept instead of, say, one for each request id.
        """
        operand = query.operand
        if (
            query.function == "sum"
            and isinstance(operand, syntax.RangeAggregation)
            and operand.function in _PUSHED_DOWN_FUNCTIONS
            and operand.grouping is None
        ):
            return self._evaluate_range(operand, query.grouping or syntax.Grouping(()))
        result = self.evaluate(operand)
        return result if isinstance(result, list) else [Series({}, [result] * self.steps.count)]

    def _evaluate_range(self, query: syntax.RangeAggregation, grouping: syntax.Grouping | None) -> SeriesList:
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

    def _evaluate_absent(self, query: syntax.RangeAggregation, present: SeriesList) -> SeriesList:
        """Return 1 at the times without lines, with the labels for which the selector requires a single value."""
        exact = [matcher for matcher in query.log_range.query.selector if matcher.operator == "="]
        names = [matcher.name for matcher in exact]
        labels = {matcher.name: matcher.value for matcher in exact if names.count(matcher.name) == 1}
        counts = present[0].values if present else [None] * self.steps.count
        values: list[float | None] = [1.0 if count is None else None for count in counts]
        return [Series(labels, values)] if any(values) else []

    def _evaluate_binary(self, query: syntax.BinaryOperation) -> SeriesList | float:
        left, right = self.evaluate(query.left), self.evaluate(query.right)
        if isinstance(left, float):
            if isinstance(right, float):
                return _apply_operator(query.operator, left, right)
            return _combine_with_number(query, right, left, is_left=True)
        if isinstance(right, float):
            return _combine_with_number(query, left, right, is_left=False)
        return _combine_series(query, left, right, self.steps)


def evaluate(
    query: syntax.MetricQuery, steps: TimeSteps, read: ReadEntries, charge: ChargeWork
) -> SeriesList | float:
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
