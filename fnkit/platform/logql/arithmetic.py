"""Binary operators between numbers, between series and a number, and between series that match one to one."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Final

from fnkit.platform.logql.frames import SeriesList, TimeSteps, Series, group_labels
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.syntax import BinaryOperation, Grouping, VectorMatching

__all__ = ["apply_operator", "combine_series"]


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan


def _modulo(left: float, right: float) -> float:
    return math.fmod(left, right) if right and math.isfinite(left) else math.nan


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
    "/": _divide,
    "%": _modulo,
    "^": _power,
}
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def apply_operator(name: str, left: float, right: float) -> float:
    """Apply an operator to two numbers; a comparison returns 0 or 1."""
    if name in _COMPARISONS:
        return float(_COMPARISONS[name](left, right))
    return _ARITHMETIC[name](left, right)


def combine_series(
    query: BinaryOperation, left: SeriesList | float, right: SeriesList | float, steps: TimeSteps
) -> SeriesList:
    """Apply an operator to two operands, at least one of which is a list of series.

    Two series match if they have the same values of the matching labels; series without a match are dropped.

    Raises:
        QueryError: Several series of one side match the same series of the other.
    """
    if isinstance(left, float) or isinstance(right, float):
        return _combine_with_number(query, left, right)
    if query.operator in ("and", "or", "unless"):
        return _set_operation(query, left, right, steps)
    others = _by_signature(right, query.matching)
    result: SeriesList = []
    seen: set[frozenset[tuple[str, str]]] = set()
    for series in left:
        signature = _signature(series, query.matching)
        other = others.get(signature)
        if other is None:
            continue
        if signature in seen:
            raise _ambiguous_match_error()
        seen.add(signature)
        pairs = zip(series.values, other.values, strict=True)
        labels = group_labels(series.labels, _matching_labels(query.matching))
        result.append(
            Series(labels, [_combine_values(query, left_value, right_value) for left_value, right_value in pairs])
        )
    return result


def _combine_with_number(query: BinaryOperation, left: SeriesList | float, right: SeriesList | float) -> SeriesList:
    if isinstance(right, float):
        series_list = left if isinstance(left, list) else []
        return [Series(s.labels, [_combine_values(query, value, right) for value in s.values]) for s in series_list]
    number = left if isinstance(left, float) else math.nan
    result = []
    for series in right:
        values = [_combine_values(query, number, value) for value in series.values]
        if query.operator in _COMPARISONS and not query.as_bool:
            # A comparison without "bool" filters: the result has the value of the series, on either side.
            values = [None if kept is None else value for kept, value in zip(values, series.values, strict=True)]
        result.append(Series(series.labels, values))
    return result


def _combine_values(query: BinaryOperation, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if query.operator in _COMPARISONS and not query.as_bool:
        return left if _COMPARISONS[query.operator](left, right) else None
    return apply_operator(query.operator, left, right)


def _set_operation(query: BinaryOperation, left: SeriesList, right: SeriesList, steps: TimeSteps) -> SeriesList:
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
    result: dict[frozenset[tuple[str, str]], Series] = {}
    for series in series_list:
        existing = result.setdefault(frozenset(series.labels.items()), series)
        if existing is not series:
            pairs = zip(existing.values, series.values, strict=True)
            merged: list[float | None] = [other if value is None else value for value, other in pairs]
            result[frozenset(series.labels.items())] = Series(series.labels, merged)
    return list(result.values())


def _signatures_at(
    series_list: SeriesList, matching: VectorMatching, index: int
) -> set[frozenset[tuple[str, str]]]:
    return {_signature(series, matching) for series in series_list if series.values[index] is not None}


def _filter_values(
    series: Series, matching: VectorMatching, present: list[set[frozenset[tuple[str, str]]]], *, keep_matches: bool
) -> Series:
    signature = _signature(series, matching)
    values = [
        value if (signature in signatures) is keep_matches else None
        for value, signatures in zip(series.values, present, strict=True)
    ]
    return Series(series.labels, values)


def _by_signature(series_list: SeriesList, matching: VectorMatching) -> dict[frozenset[tuple[str, str]], Series]:
    found: dict[frozenset[tuple[str, str]], Series] = {}
    for series in series_list:
        signature = _signature(series, matching)
        if signature in found:
            raise _ambiguous_match_error()
        found[signature] = series
    return found


def _signature(series: Series, matching: VectorMatching) -> frozenset[tuple[str, str]]:
    return frozenset(group_labels(series.labels, _matching_labels(matching)).items())


def _matching_labels(matching: VectorMatching) -> Grouping:
    return Grouping(matching.labels, without=not matching.on)


def _ambiguous_match_error() -> QueryError:
    return QueryError(
        "multiple matches for labels: several series match the same one; group_left and group_right are not "
        "supported here, so aggregate one side first"
    )
