"""Series of numbers at common times, and the functions that compute them from the samples in time windows.

Each time of a series has a window of samples before it. Limits on samples and series bound the memory of a query.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

from fnkit.platform.logql.frames import SeriesList, TimeSteps, Series, ChargeWork, check_point_count
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.samples import Sample

__all__ = [
    "MAX_SERIES_READ",
    "sum_windows",
    "apply_to_windows",
    "quantile_function",
    "apply_or_nan",
    "population_variance",
]

MAX_SERIES_READ: Final = 50_000
"""Maximum number of series that a query may distinguish while it reads lines."""

_MAX_SAMPLES: Final = 5_000_000


class _WindowSums:
    """Sums over windows, kept as differences between adjacent windows.

    A sample changes two differences, at the first window that contains it and after the last one, however many
    windows overlap. The sums of the windows are the running totals.
    """

    __slots__ = ("counts", "labels", "sums")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self.counts: dict[int, int] = {}
        self.sums: dict[int, float] = {}

    def add(self, window: tuple[int, int], value: float) -> None:
        for index, sign in zip(window, (1, -1), strict=True):
            self.counts[index] = self.counts.get(index, 0) + sign
            self.sums[index] = self.sums.get(index, 0.0) + sign * value

    def to_series(self, steps: TimeSteps, divisor: float) -> Series:
        indexes = range(steps.count)
        counts = accumulate(self.counts.get(index, 0) for index in indexes)
        sums = accumulate(self.sums.get(index, 0.0) for index in indexes)
        values = [total / divisor if count else None for count, total in zip(counts, sums, strict=True)]
        return Series(self.labels, values)


def sum_windows(samples: Iterable[Sample], steps: TimeSteps, interval: int, divisor: float) -> SeriesList:
    """Return the sum of each window, divided by ``divisor``.

    The differences are exact only for integers (numbers of lines and bytes); floats would accumulate rounding
    errors.

    Args:
        samples: The samples, in any order.
        steps: The times of the values.
        interval: The length of the windows in nanoseconds.
        divisor: The seconds of a window for a rate, otherwise 1.

    Raises:
        QueryError: There are too many series or values.
    """
    found: dict[frozenset[tuple[str, str]], _WindowSums] = {}
    for time, labels, value in samples:
        window = steps.window_indexes(time, interval)
        if window[0] < window[1]:
            key = frozenset(labels.items())
            sums = found.get(key)
            if sums is None:
                _check_series_count(len(found))
                sums = found[key] = _WindowSums(labels)
            sums.add(window, value)
    check_point_count(len(found), steps)
    return [sums.to_series(steps, divisor) for sums in found.values()]


def apply_to_windows(
    samples: Iterable[Sample],
    steps: TimeSteps,
    interval: int,
    function: Callable[[Sequence[float]], float],
    charge: ChargeWork,
) -> SeriesList:
    """Apply a function to the values of each window.

    Args:
        samples: The samples, in any order.
        steps: The times of the values.
        interval: The length of the windows in nanoseconds.
        function: Receives the values of a window, oldest first.
        charge: Accounts for the values of each window.

    Raises:
        QueryError: There are too many samples, series or values, or the query exceeded its time limit.
    """
    found: dict[frozenset[tuple[str, str]], tuple[dict[str, str], list[tuple[int, float]]]] = {}
    for count, (time, labels, value) in enumerate(samples):
        key = frozenset(labels.items())
        if key not in found:
            _check_series_count(len(found))
            found[key] = (labels, [])
        found[key][1].append((time, value))
        if count == _MAX_SAMPLES:
            raise QueryError(f"more than {_MAX_SAMPLES} samples; shorten the time range or narrow the selector")
    check_point_count(len(found), steps)
    return [
        Series(labels, _window_values(values, steps, interval, function, charge))
        for labels, values in found.values()
    ]


def _window_values(
    samples: list[tuple[int, float]],
    steps: TimeSteps,
    interval: int,
    function: Callable[[Sequence[float]], float],
    charge: ChargeWork,
) -> list[float | None]:
    samples.sort(key=lambda sample: sample[0])
    # Arrays hold a number in 8 bytes, a list of tuples in more than 100.
    times = array("q", (time for time, _ in samples))
    values = array("d", (value for _, value in samples))
    result: list[float | None] = []
    for index in range(steps.count):
        window_end = steps[index]
        first, end = bisect_right(times, window_end - interval), bisect_right(times, window_end)
        charge(end - first)
        result.append(apply_or_nan(function, values[first:end]) if first < end else None)
    return result


def _check_series_count(count: int) -> None:
    if count >= MAX_SERIES_READ:
        raise QueryError(
            f"more than {MAX_SERIES_READ} series while reading; narrow the selector, or aggregate with sum by (…)"
        )


def apply_or_nan(function: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    """Apply a function; return NaN for an overflow, or for a sum of infinities of opposite sign."""
    try:
        return function(values)
    except (ValueError, OverflowError):
        return math.nan


def quantile_function(quantile_fraction: float) -> Callable[[Sequence[float]], float]:
    """Return a function that computes a quantile with linear interpolation between samples.

    As in Prometheus, a fraction outside 0…1 results in an infinity.
    """
    if not 0 <= quantile_fraction <= 1:
        return lambda _values: math.copysign(math.inf, quantile_fraction)

    def function(values: Sequence[float]) -> float:
        ordered = sorted(values)
        rank = quantile_fraction * (len(ordered) - 1)
        lower = math.floor(rank)
        upper = min(lower + 1, len(ordered) - 1)
        weight = rank - lower
        return ordered[lower] * (1 - weight) + ordered[upper] * weight

    return function


def population_variance(values: Sequence[float]) -> float:
    """Return the population variance."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / len(values)
