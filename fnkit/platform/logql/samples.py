"""Converts the lines of a range to samples: a time, the labels of a series, and a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.logql.filters import label_filter_predicate
from fnkit.platform.logql.frames import ReadEntries
from fnkit.platform.logql.pipeline import compile_pipeline
from fnkit.platform.logql.printing import format_labels
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.syntax import (
    Grouping,
    JsonParser,
    LabelFilter,
    LabelFormat,
    LineFormat,
    LogfmtParser,
    LogRange,
    PatternParser,
    RegexpParser,
    Stage,
    Unwrap,
)
from fnkit.platform.logql.units import parse_go_duration, parse_size

__all__ = ["BYTES_FUNCTIONS", "Sample", "read_samples"]

BYTES_FUNCTIONS: Final = frozenset({"bytes_over_time", "bytes_rate"})
_NANOSECONDS_PER_SECOND: Final = 10**9
_SAMPLE_ERROR: Final = "SampleExtractionErr"

Sample = tuple[int, dict[str, str], float]
"""Time in Unix nanoseconds (with the offset added), labels of the series, and value."""


def read_samples(
    function: str,
    log_range: LogRange,
    grouping: Grouping | None,
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
    stages: tuple[Stage, ...], grouping: Grouping | None, unwrap: Unwrap | None
) -> tuple[Stage, ...]:
    """Return the stages without parsers if no label is used.

    Loki does the same, and it is visible: a line that is not JSON then causes no error.
    """
    needs_labels = unwrap is not None or grouping is None or grouping.without or bool(grouping.labels)
    uses_labels = any(isinstance(stage, LabelFilter | LabelFormat | LineFormat) for stage in stages)
    if needs_labels or uses_labels:
        return stages
    return tuple(s for s in stages if not isinstance(s, JsonParser | LogfmtParser | RegexpParser | PatternParser))


def _value_reader(function: str, unwrap: Unwrap | None) -> Callable[[LogEntry], float | None]:
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


def _series_labels(grouping: Grouping | None, unwrap: Unwrap | None) -> Callable[[LogEntry], dict[str, str]]:
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
