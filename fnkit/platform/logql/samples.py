"""Lines of a range → samples: the labels they count for, and the number they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fnkit.platform.logql.entries import Entry
from fnkit.platform.logql.filters import condition
from fnkit.platform.logql.frames import ReadEntries
from fnkit.platform.logql.pipeline import pipeline
from fnkit.platform.logql.printing import format_labels
from fnkit.platform.logql.refusal import QueryRefused
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
_SECOND: Final = 10**9
_ERROR: Final = "SampleExtractionErr"

Sample = tuple[int, dict[str, str], float]
"""When (Unix nanoseconds, the offset added), of which series, how much."""


def read_samples(
    function: str,
    log_range: LogRange,
    grouping: Grouping | None,
    span: tuple[int, int],
    read: ReadEntries,
) -> Iterator[Sample]:
    """Yield the samples of a range of lines after ``span[0]``, up to ``span[1]`` (the offset not yet applied).

    Raises:
        QueryRefused: a line went through the stages with an error that no filter takes out.
    """
    query, offset = log_range.query, log_range.offset
    step = pipeline(_needed(query.stages, grouping, log_range.unwrap))
    value = _value(function, log_range.unwrap)
    labels = _labels(grouping, log_range.unwrap)
    for entry in read(query, span[0] - offset, span[1] - offset):
        if not step(entry):
            continue
        number = value(entry)
        if number is None:
            continue
        if entry.error:
            raise _pipeline_error(entry)
        yield entry.time + offset, labels(entry), number


def _needed(stages: tuple[Stage, ...], grouping: Grouping | None, unwrap: Unwrap | None) -> tuple[Stage, ...]:
    """Leave out parsers where nobody asks for a label: then no line is wrong for not being JSON, as with Loki."""
    asks = unwrap is not None or grouping is None or grouping.without or bool(grouping.labels)
    uses = any(isinstance(stage, LabelFilter | LabelFormat | LineFormat) for stage in stages)
    if asks or uses:
        return stages
    return tuple(s for s in stages if not isinstance(s, JsonParser | LogfmtParser | RegexpParser | PatternParser))


def _value(function: str, unwrap: Unwrap | None) -> Callable[[Entry], float | None]:
    if unwrap is None:
        if function in BYTES_FUNCTIONS:
            return lambda entry: float(len(entry.line.encode("utf-8", "replace")))
        return lambda _entry: 1.0
    read = {"": _number, "bytes": parse_size}.get(unwrap.conversion, _seconds)
    filters = [condition(one) for one in unwrap.filters]
    label = unwrap.label

    def value(entry: Entry) -> float | None:
        """Return the number in the label; ``None`` where the line has none, or a filter behind takes it out."""
        text = entry.text(label)
        if not text:
            return None
        number = read(text)
        if number is None:
            entry.fail(_ERROR, f"{label} is no number: {text[:64]!r}")
        return (number or 0.0) if all(test(entry) for test in filters) else None

    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    duration = parse_go_duration(text)
    return None if duration is None else duration / _SECOND


def _labels(grouping: Grouping | None, unwrap: Unwrap | None) -> Callable[[Entry], dict[str, str]]:
    """Return what tells series apart. A label that is empty is none, as in Prometheus."""
    if grouping is not None and not grouping.without:
        names = grouping.labels
        return lambda entry: {name: text for name in names if (text := entry.text(name))}
    hidden = frozenset((*(grouping.labels if grouping else ()), *((unwrap.label,) if unwrap else ())))
    return lambda entry: {name: text for name, text in entry.labels().items() if text and name not in hidden}


def _pipeline_error(entry: Entry) -> QueryRefused:
    return QueryRefused(
        f"pipeline error: '{entry.error}' for series: '{format_labels(entry.labels())}'.\n"
        f'Use a label filter to intentionally skip this error. (e.g | __error__!="{entry.error}").\n'
        'To skip all potential errors you can match empty errors.(e.g __error__="")\n'
        'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n'
    )
