"""Results of Loki's API as types, and conversions of series to them.

Times of lines are decimal strings of Unix nanoseconds; times of numbers are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from fnkit.platform.logql.windows import SeriesList, TimeSteps

CATEGORIZE_LABELS: Final = "categorize-labels"
_NANOSECONDS_PER_MILLISECOND: Final = 10**6
_MILLISECONDS_PER_SECOND: Final = 1000


class LineMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Labels of a single line: its metadata, and the labels that the query extracted from it.

    Only clients that send the flag ``categorize-labels`` get them separately; for others they are stream labels.
    """

    structured_metadata: dict[str, str] = {}
    parsed: dict[str, str] = {}


LineValue: TypeAlias = tuple[str, str] | tuple[str, str, LineMetadata]
TimedValue: TypeAlias = tuple[float, str]


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of a stream."""

    stream: dict[str, str]
    values: list[LineValue]


class VectorResult(msgspec.Struct, frozen=True, kw_only=True):
    """A series at a single time."""

    metric: dict[str, str]
    value: TimedValue


class MatrixResult(msgspec.Struct, frozen=True, kw_only=True):
    """A series over a range of times."""

    metric: dict[str, str]
    values: list[TimedValue]


class QuerySummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The amount of data read for a query, and the time it took in seconds."""

    bytes_processed_per_second: int = 0
    lines_processed_per_second: int = 0
    total_bytes_processed: int = 0
    total_lines_processed: int = 0
    exec_time: float = 0.0
    queue_time: float = 0.0
    subqueries: int = 0
    total_entries_returned: int = 0
    splits: int = 0
    shards: int = 0


class QueryStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a query."""

    summary: QuerySummary = QuerySummary()


QueryResult: TypeAlias = list[StreamResult] | list[MatrixResult] | list[VectorResult] | TimedValue


class QueryData(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The result of a query; ``result_type`` is ``streams``, ``matrix``, ``vector`` or ``scalar``."""

    result_type: str
    encoding_flags: list[str] = []
    result: QueryResult
    stats: QueryStats


class QueryResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response of ``query`` and ``query_range``."""

    status: str = "success"
    data: QueryData


class ListResult(msgspec.Struct, frozen=True, kw_only=True):
    """The response of ``labels``, ``label/<name>/values`` and ``series``."""

    status: str = "success"
    data: Sequence[str] | Sequence[dict[str, str]]


class IndexStats(msgspec.Struct, frozen=True, kw_only=True):
    """The number of streams, lines (``entries``) and bytes that a selector matches."""

    streams: int
    chunks: int
    entries: int
    bytes: int


def _format_plain_number(value: float) -> str:
    """Format a number as Go does without an exponent.

    >>> [_format_plain_number(number) for number in (2.0, 0.1, 1e21, float("inf"))]
    ('2', '0.1', '1000000000000000000000', '+Inf')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def unix_seconds(nanoseconds: int) -> float:
    """Convert Unix nanoseconds to seconds with millisecond precision; return an int for whole seconds."""
    milliseconds = nanoseconds // _NANOSECONDS_PER_MILLISECOND
    whole, rest = divmod(milliseconds, _MILLISECONDS_PER_SECOND)
    return milliseconds / _MILLISECONDS_PER_SECOND if rest else whole


def to_vector(series_list: SeriesList, steps: TimeSteps) -> list[VectorResult]:
    """Convert series to the result of an instant query, which has a single time."""
    at = unix_seconds(steps.start)
    return [
        VectorResult(metric=series.labels, value=(at, _format_plain_number(value)))
        for series in series_list
        if (value := series.values[0]) is not None
    ]


def to_matrix(series_list: SeriesList, steps: TimeSteps) -> list[MatrixResult]:
    """Convert series to the result of a range query, sorted by labels."""
    times = [unix_seconds(steps[index]) for index in range(steps.count)]
    results = [
        MatrixResult(
            metric=series.labels,
            values=[
                (time, _format_plain_number(value))
                for time, value in zip(times, series.values, strict=True)
                if value is not None
            ],
        )
        for series in series_list
    ]
    return sorted(results, key=lambda result: sorted(result.metric.items()))


def to_scalar(value: float, steps: TimeSteps) -> TimedValue:
    """Convert a number to the result of an instant query."""
    return (unix_seconds(steps.start), _format_plain_number(value))
