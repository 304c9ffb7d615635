"""Counters of each function: plain numbers, updated on the hot path without locks, labels or hashing.

Counters belong to a function, not to a deployment: they persist over redeployments and end with the function. The
gateway counts requests, the engine instances; both hold the counters themselves. A warm request costs two clock
readings, one lookup by status and three additions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fnkit.platform.model.metrics import (
    COLD_START_BOUNDS,
    DURATION_BOUNDS,
    QUEUE_WAIT_BOUNDS,
    Histogram,
    HistogramSnapshot,
)
from fnkit.platform.model.routing import Route

_END_LABELS: Final = (
    ("out of memory", "oom"),
    ("timed out", "timeout"),
    ("exit ", "exit"),
    ("killed by signal", "killed"),
)


@dataclass(slots=True, eq=False)
class FunctionCounters:
    """The counters of one function.

    Attributes:
        route: The deployment for which they were created.
        immediate: Requests that found an idle instance.
        waits: Queueing times of the other requests.
        requests: Requests by status code.
        starts: Starts by result, ``ready`` or ``failed``.
        ended: Ended instances by reason.
        gigabyte_seconds: Memory × time for which instances held requests.
    """

    route: Route
    immediate: int = 0
    requests: dict[int, int] = field(default_factory=dict)
    durations: Histogram = field(default_factory=partial(Histogram, DURATION_BOUNDS))
    waits: Histogram = field(default_factory=partial(Histogram, QUEUE_WAIT_BOUNDS))
    cold_starts: Histogram = field(default_factory=partial(Histogram, COLD_START_BOUNDS))
    starts: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    gigabyte_seconds: float = 0.0

    def count_response(self, status: int, seconds: float) -> None:
        """Count a completed request."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.durations.observe(seconds)

    def count_wait(self, seconds: float, *, is_cold: bool) -> None:
        """Count a request that was queued.

        Args:
            seconds: The queueing time.
            is_cold: Whether it waited for the start of its instance.
        """
        self.waits.observe(seconds)
        if is_cold:
            self.cold_starts.observe(seconds)

    def all_waits(self) -> HistogramSnapshot:
        """Return the queueing times of all requests, with those that found an idle instance."""
        counts = list(self.waits.counts)
        counts[0] += self.immediate
        return HistogramSnapshot(tuple(counts), self.waits.total)


class CounterRegistry:
    """The counters of all functions that are served."""

    def __init__(self) -> None:
        self._counters: dict[str, FunctionCounters] = {}

    def get_or_create(self, route: Route) -> FunctionCounters:
        """Return the counters of a function, created at zero if necessary."""
        meter = self._counters.get(route.function_id)
        if meter is None:
            meter = self._counters[route.function_id] = FunctionCounters(route)
        return meter

    def remove(self, function_id: str) -> None:
        """Remove the counters of a function."""
        self._counters.pop(function_id, None)

    def items(self) -> Iterable[tuple[str, FunctionCounters]]:
        """Return the id and the counters of every function."""
        return self._counters.items()


def end_label(reason: str, *, expected: bool) -> str:
    """Return the metric label for the end of an instance.

    >>> end_label("exit 3", expected=False), end_label("no longer needed", expected=True)
    ('exit', 'scaled-down')
    """
    if expected:
        return "scaled-down"
    return next((kind for prefix, kind in _END_LABELS if reason.startswith(prefix)), "other")
