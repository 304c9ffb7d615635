"""What the data plane counts, as it tells control on ``GET /metrics`` of its private door (pure values).

The data plane sends numbers, control turns them into an exposition: the process that serves requests never formats
a label. Bodies are msgpack. Counters begin at zero with each data plane; a series ends with its function.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import msgspec

__all__ = [
    "BUILD_BOUNDS",
    "COLD_START_BOUNDS",
    "DURATION_BOUNDS",
    "METRICS_PATH",
    "REQUEST_BOUNDS",
    "WAIT_BOUNDS",
    "DataPlaneMeasurements",
    "EngineMeasurements",
    "FunctionMeasurements",
    "Histogram",
    "HistogramValue",
    "SpanCounts",
]

METRICS_PATH: Final = "/metrics"

DURATION_BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
"""Seconds; a request may take from half a millisecond to an hour."""

WAIT_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
COLD_START_BOUNDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


REQUEST_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Requests to the API: one that changes the routing waits for the data plane, 2 s at most."""

BUILD_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class HistogramValue(msgspec.Struct, frozen=True, array_like=True):
    """``counts``: observations per bucket, not added up, one more than there are bounds. ``total``: their sum."""

    counts: tuple[int, ...]
    total: float


class Histogram:
    """Observations by bucket; a value that equals a bound counts below it, as ``le`` says."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def value(self) -> HistogramValue:
        """Return what was counted so far."""
        return HistogramValue(tuple(self.counts), self.total)


class FunctionMeasurements(msgspec.Struct, frozen=True, kw_only=True):
    """One function.

    requests: by status code; 499 is a client that went away. durations, waits, cold_starts: seconds, ``None``
    before the first request. starts: instances asked for, by ``ready`` and ``failed``. ended: instances, by reason.
    gigabyte_seconds: memory limit × time that instances held a request. memory_bytes: of all its instances, now;
    ``None`` where this machine does not tell.
    """

    function_id: str
    name: str
    namespace: str
    region: str
    requests: dict[int, int]
    durations: HistogramValue | None
    waits: HistogramValue | None
    cold_starts: HistogramValue | None
    starts: dict[str, int]
    ended: dict[str, int]
    gigabyte_seconds: float
    log_lines_dropped: int
    idle: int
    busy: int
    starting: int
    waiting: int
    memory_bytes: int | None


class SpanCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Spans since the data plane began: ``exported`` were taken by the collector, ``dropped`` by nobody."""

    exported: int
    dropped: int


class EngineMeasurements(msgspec.Struct, frozen=True, kw_only=True):
    """Every function, and the memory budget in MB: what live instances may take, and what all may take."""

    functions: tuple[FunctionMeasurements, ...]
    memory_used: int
    memory_limit: int


class DataPlaneMeasurements(msgspec.Struct, frozen=True, kw_only=True):
    """The data plane.

    answers: what the gateway answered itself, by status code. connections: of clients, open now. spans: ``None``
    where nothing is exported.
    """

    engine: EngineMeasurements
    answers: dict[int, int]
    connections: int
    spans: SpanCounts | None
