"""Series of numbers at common times, and the functions that compute them from the samples in time windows.

Each time of a series has a window of samples before it. Limits on samples and series bound the memory of a query.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, TypeAlias

from fnkit.platform.logql import syntax
from fnkit.platform.logql.entry import LogEntry, format_labels
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.pipeline import compile_pipeline, label_filter_predicate
from fnkit.platform.logql.units import parse_go_duration, parse_size

_MAX_POINTS = 5_000_000
"""Maximum number of values in all series of a result together, which take about 200 MB."""
ReadEntries: TypeAlias = Callable[[syntax.LogQuery, int, int], Iterable[LogEntry]]
"""Returns the lines of a query's selector in a time span: start excluded, end included, in Unix nanoseconds.

It does not apply the stages of the query, but may omit lines that they would remove anyway.
"""
ChargeWork: TypeAlias = Callable[[int], None]
"""Accounts for a number of values about to be processed; raises ``QueryError`` when a limit is exceeded."""

BYTES_FUNCTIONS: Final = frozenset({"bytes_over_time", "bytes_rate"})
_NANOSECONDS_PER_SECOND: Final = 10**9
_SAMPLE_ERROR: Final = "SampleExtractionErr"
Sample = tuple[int, dict[str, str], float]
"""Time in Unix nanoseconds (with the offset added), labels of the series, and value."""

Signature: TypeAlias = frozenset[tuple[str, str]]
"""Labels in a form that can be compared and looked up."""
_MAX_SERIES_READ: Final = 50_000
"""Maximum number of series that a query may distinguish while it reads lines."""
_MAX_SAMPLES: Final = 5_000_000


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


def group_labels(labels: Mapping[str, str], grouping: syntax.Grouping) -> dict[str, str]:
    """Return the labels by which an aggregation groups a series; a missing label is omitted."""
    if grouping.without:
        return {name: value for name, value in labels.items() if name not in grouping.labels}
    return {name: labels[name] for name in grouping.labels if labels.get(name)}


def _check_point_count(series_count: int, steps: TimeSteps) -> None:
    """Check the size of a result before it is allocated.

    Raises:
        QueryError: The result has more than ``_MAX_POINTS`` values.
    """
    if series_count * steps.count > _MAX_POINTS:
        raise QueryError(
            f"{series_count} series of {steps.count} points each are too many; aggregate them with sum(), "
            "or increase the value of the step parameter"
        )


def read_samples(
    function: str,
    log_range: syntax.LogRange,
    grouping: syntax.Grouping | None,
    span: tuple[int, int],
    read: ReadEntries,
) -> Iterator[Sample]:
    """Yield the samples of a log range.

    Args:
        function: The range function, such as ``rate``.
        log_range: The lines, and the label to use as value if there is an ``unwrap``.
        grouping: The labels of the series; ``None`` keeps all.
        span: Start (excluded) and end (included) in Unix nanoseconds, before the offset is applied.
        read: Returns the lines of a selector.

    Raises:
        QueryError: A line has an error after the stages, and no label filter removes it.
    """
    query, offset = log_range.query, log_range.offset
    step = compile_pipeline(_without_unused_parsers(query.stages, grouping, log_range.unwrap))
    value = _value_reader(function, log_range.unwrap)
    labels = _series_labels(grouping, log_range.unwrap)
    for entry in read(query, span[0] - offset, span[1] - offset):
        if not step(entry):
            continue
        number = value(entry)
        if number is None:
            continue
        if entry.error:
            raise _pipeline_error(entry)
        yield entry.time + offset, labels(entry), number


def _without_unused_parsers(
    stages: tuple[syntax.Stage, ...], grouping: syntax.Grouping | None, unwrap: syntax.Unwrap | None
) -> tuple[syntax.Stage, ...]:
    """Return the stages without parsers if no label is used.

    Loki does the same, and it is visible: a line that is not JSON then causes no error.
    """
    needs_labels = unwrap is not None or grouping is None or grouping.without or bool(grouping.labels)
    uses_labels = any(
        isinstance(stage, syntax.LabelFilter | syntax.LabelFormat | syntax.LineFormat) for stage in stages
    )
    if needs_labels or uses_labels:
        return stages
    return tuple(
        s
        for s in stages
        if not isinstance(s, syntax.JsonParser | syntax.LogfmtParser | syntax.RegexpParser | syntax.PatternParser)
    )


def _value_reader(function: str, unwrap: syntax.Unwrap | None) -> Callable[[LogEntry], float | None]:
    if unwrap is None:
        if function in BYTES_FUNCTIONS:
            return lambda entry: float(len(entry.line.encode("utf-8", "replace")))
        return lambda _entry: 1.0
    read = {"": _parse_number, "bytes": parse_size}.get(unwrap.conversion, _parse_seconds)
    filters = [label_filter_predicate(label_filter) for label_filter in unwrap.filters]
    label = unwrap.label

    def value(entry: LogEntry) -> float | None:
        """Return the number in the label, or ``None`` if the line lacks it or a filter removes the line."""
        text = entry.get_or_empty(label)
        if not text:
            return None
        number = read(text)
        if number is None:
            entry.set_error(_SAMPLE_ERROR, f"{label} is not a number: {text[:64]!r}")
        # Filters see the error that was just set: | __error__="" after unwrap skips lines without a number.
        return (number or 0.0) if all(test(entry) for test in filters) else None

    return value


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _parse_seconds(text: str) -> float | None:
    duration = parse_go_duration(text)
    return None if duration is None else duration / _NANOSECONDS_PER_SECOND


def _series_labels(
    grouping: syntax.Grouping | None, unwrap: syntax.Unwrap | None
) -> Callable[[LogEntry], dict[str, str]]:
    """Return a function for the labels of a sample. As in Prometheus, an empty label counts as missing."""
    if grouping is not None and not grouping.without:
        names = grouping.labels
        return lambda entry: {name: text for name in names if (text := entry.get_or_empty(name))}
    hidden = frozenset((*(grouping.labels if grouping else ()), *((unwrap.label,) if unwrap else ())))
    return lambda entry: {name: text for name, text in entry.labels().items() if text and name not in hidden}


def _pipeline_error(entry: LogEntry) -> QueryError:
    return QueryError(
        f"pipeline error: '{entry.error}' for series: '{format_labels(entry.labels())}'.\n"
        f'Use a label filter to intentionally skip this error. (e.g | __error__!="{entry.error}").\n'
        'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
        'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n'
    )


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
    found: dict[Signature, _WindowSums] = {}
    for time, labels, value in samples:
        window = steps.window_indexes(time, interval)
        if window[0] < window[1]:
            key = frozenset(labels.items())
            sums = found.get(key)
            if sums is None:
                _check_series_count(len(found))
                sums = found[key] = _WindowSums(labels)
            sums.add(window, value)
    _check_point_count(len(found), steps)
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
    found: dict[Signature, tuple[dict[str, str], list[tuple[int, float]]]] = {}
    for count, (time, labels, value) in enumerate(samples):
        key = frozenset(labels.items())
        if key not in found:
            _check_series_count(len(found))
            found[key] = (labels, [])
        found[key][1].append((time, value))
        if count == _MAX_SAMPLES:
            raise QueryError(f"more than {_MAX_SAMPLES} samples; shorten the time range or narrow the selector")
    _check_point_count(len(found), steps)
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
    if count >= _MAX_SERIES_READ:
        raise QueryError(
            f"more than {_MAX_SERIES_READ} series while reading; narrow the selector, or aggregate with sum by (…)"
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
