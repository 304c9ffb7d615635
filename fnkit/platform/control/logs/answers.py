"""What Loki answers, in types. Times of lines are Unix nanoseconds in text, of numbers Unix seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from fnkit.platform.logql.frames import Frame, Moments

__all__ = [
    "CATEGORIZED",
    "IndexStats",
    "LineMetadata",
    "Listed",
    "MatrixResult",
    "QueryAnswer",
    "QueryData",
    "Stats",
    "StreamResult",
    "Summary",
    "VectorResult",
    "matrix",
    "number_text",
    "scalar",
    "scalar_matrix",
    "seconds",
    "vector",
]

CATEGORIZED: Final = "categorize-labels"
_NANOSECONDS_A_MILLISECOND: Final = 10**6
_MILLISECONDS: Final = 1000


class LineMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is known of one line alone, and what the query took out of it; shown apart where the client asks."""

    structured_metadata: dict[str, str] = {}
    parsed: dict[str, str] = {}


LineValue: TypeAlias = tuple[str, str] | tuple[str, str, LineMetadata]
Sample: TypeAlias = tuple[float, str]


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one stream."""

    stream: dict[str, str]
    values: list[LineValue]


class VectorResult(msgspec.Struct, frozen=True, kw_only=True):
    """One series at one moment."""

    metric: dict[str, str]
    value: Sample


class MatrixResult(msgspec.Struct, frozen=True, kw_only=True):
    """One series over moments."""

    metric: dict[str, str]
    values: list[Sample]


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much was read for an answer, in how many seconds."""

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


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures about a query."""

    summary: Summary = Summary()

    @classmethod
    def of(cls, *, lines: int, size: int, returned: int, seconds: float) -> Stats:
        """Make them of what was read and how long it took."""
        rate = 1.0 / seconds if seconds > 0 else 0.0
        return cls(
            summary=Summary(
                bytes_processed_per_second=int(size * rate),
                lines_processed_per_second=int(lines * rate),
                total_bytes_processed=size,
                total_lines_processed=lines,
                exec_time=seconds,
                total_entries_returned=returned,
            )
        )


Result: TypeAlias = list[StreamResult] | list[MatrixResult] | list[VectorResult] | Sample


class QueryData(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A query's result. result_type: ``streams``, ``matrix``, ``vector`` or ``scalar``."""

    result_type: str
    encoding_flags: list[str] = []
    result: Result
    stats: Stats


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``query`` and ``query_range``."""

    status: str = "success"
    data: QueryData


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Names of labels, values of one, series, or a query in its standard form."""

    status: str = "success"
    data: Sequence[str] | Sequence[dict[str, str]] | str


class IndexStats(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of a selector."""

    streams: int
    chunks: int
    entries: int
    bytes: int


def number_text(value: float) -> str:
    """Return a number as Go writes it without an exponent.

    >>> number_text(2.0), number_text(0.1), number_text(1e21), number_text(float("inf"))
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


def seconds(nanoseconds: int) -> float:
    """Return a moment in seconds; whole ones as whole numbers."""
    milliseconds = nanoseconds // _NANOSECONDS_A_MILLISECOND
    whole, rest = divmod(milliseconds, _MILLISECONDS)
    return milliseconds / _MILLISECONDS if rest else whole


def vector(frame: Frame, moments: Moments) -> list[VectorResult]:
    """Return series at the one moment that an instant query asks for."""
    at = seconds(moments.start)
    return [
        VectorResult(metric=series.labels, value=(at, number_text(value)))
        for series in frame
        if (value := series.values[0]) is not None
    ]


def matrix(frame: Frame, moments: Moments) -> list[MatrixResult]:
    """Return series over moments, in order of their labels."""
    times = [seconds(moments[index]) for index in range(moments.count)]
    made = [
        MatrixResult(
            metric=series.labels,
            values=[
                (time, number_text(value))
                for time, value in zip(times, series.values, strict=True)
                if value is not None
            ],
        )
        for series in frame
    ]
    return sorted(made, key=lambda one: sorted(one.metric.items()))


def scalar(value: float, moments: Moments) -> Sample:
    """Return a number at the one moment."""
    return (seconds(moments.start), number_text(value))


def scalar_matrix(value: float, moments: Moments) -> list[MatrixResult]:
    """Return a number over moments, as one series without labels."""
    text = number_text(value)
    return [MatrixResult(metric={}, values=[(seconds(moments[index]), text) for index in range(moments.count)])]
