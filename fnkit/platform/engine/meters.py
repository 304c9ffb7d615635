"""What is counted of each function: plain numbers that the hot path adds to, without a lock, a label or a hash.

A meter belongs to a function, not to a deployment: it goes on counting over redeploys and ends with the function.
The gateway counts requests, the engine instances; both hold the meter itself. Warm, a request costs two readings
of the clock, one look-up by status and three additions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from fnkit.platform.measurements import COLD_START_BOUNDS, DURATION_BOUNDS, WAIT_BOUNDS, Histogram, HistogramValue
from fnkit.platform.routing import Route

__all__ = ["FunctionMeter", "Meters", "ending_kind"]

_ENDINGS: Final = (
    ("out of memory", "oom"),
    ("timed out", "timeout"),
    ("exit ", "exit"),
    ("killed by signal", "killed"),
)


class FunctionMeter:
    """One function's numbers. ``at_once``: requests that found an idle instance and waited for nothing."""

    __slots__ = (
        "at_once",
        "cold_starts",
        "durations",
        "ended",
        "gigabyte_seconds",
        "name",
        "namespace",
        "region",
        "requests",
        "starts",
        "waits",
    )

    def __init__(self, route: Route) -> None:
        self.name = route.name
        self.namespace = route.namespace
        self.region = route.region
        self.at_once = 0
        self.requests: dict[int, int] = {}
        self.durations = Histogram(DURATION_BOUNDS)
        self.waits = Histogram(WAIT_BOUNDS)
        self.cold_starts = Histogram(COLD_START_BOUNDS)
        self.starts: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.gigabyte_seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """Count a request that is over."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.durations.observe(seconds)

    def waited(self, seconds: float, *, cold: bool) -> None:
        """Count a request that got its instance after waiting; ``cold`` where it waited for that one to start."""
        self.waits.observe(seconds)
        if cold:
            self.cold_starts.observe(seconds)

    def all_waits(self) -> HistogramValue:
        """Return the waits of all requests, also of those that waited for nothing."""
        counts = list(self.waits.counts)
        counts[0] += self.at_once
        return HistogramValue(tuple(counts), self.waits.total)


class Meters:
    """The meters of every function that is served."""

    def __init__(self) -> None:
        self._meters: dict[str, FunctionMeter] = {}

    def of(self, route: Route) -> FunctionMeter:
        """Return the function's meter; a new one at zero where there is none."""
        meter = self._meters.get(route.function_id)
        if meter is None:
            meter = self._meters[route.function_id] = FunctionMeter(route)
        return meter

    def forget(self, function_id: str) -> None:
        """The function is gone, and its series with it."""
        self._meters.pop(function_id, None)

    def every(self) -> Iterable[tuple[str, FunctionMeter]]:
        """Return every function's id and meter."""
        return self._meters.items()


def ending_kind(reason: str, *, prompted: bool) -> str:
    """Return the label of an instance's end.

    >>> ending_kind("exit 3", prompted=False), ending_kind("no longer needed", prompted=True)
    ('exit', 'scaled-down')
    """
    if prompted:
        return "scaled-down"
    return next((kind for words, kind in _ENDINGS if reason.startswith(words)), "other")
