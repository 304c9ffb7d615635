"""Counters of the control plane: API requests, builds, and deliveries of crons and triggers."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from fnkit.platform.model.metrics import API_REQUEST_BOUNDS, BUILD_BOUNDS, Histogram, HistogramSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMetrics:
    """A snapshot of ``ControlCounters``, with the same attributes."""

    requests: dict[tuple[str, int], int]
    request_durations: dict[str, HistogramSnapshot]
    builds: dict[str, HistogramSnapshot]
    deliveries: dict[tuple[str, str], int]


class ControlCounters:
    """Counters of one control process, starting from zero.

    Attributes:
        requests: Number of API requests by operation and status code.
        request_durations: Durations of API requests in seconds, by operation.
        builds: Durations of builds in seconds, by result: ``succeeded``, ``failed`` or ``cancelled``.
        deliveries: Number of deliveries by kind (``cron``, ``sqs``, ``nats``) and result (``succeeded``,
            ``failed``, ``dead``, ``unknown``).
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.request_durations = defaultdict[str, Histogram](lambda: Histogram(API_REQUEST_BOUNDS))
        self.builds = defaultdict[str, Histogram](lambda: Histogram(BUILD_BOUNDS))
        self.deliveries: Counter[tuple[str, str]] = Counter()

    def count_request(self, operation: str, status: int, seconds: float) -> None:
        """Count an API request."""
        self.requests[operation, status] += 1
        self.request_durations[operation].observe(seconds)

    def count_delivery(self, kind: str, result: str) -> None:
        """Count a finished delivery once, however many attempts it took."""
        self.deliveries[kind, result] += 1

    def snapshot(self) -> ControlMetrics:
        """Return a snapshot of the counters."""
        return ControlMetrics(
            requests=dict(self.requests),
            request_durations={name: histogram.snapshot() for name, histogram in self.request_durations.items()},
            builds={name: histogram.snapshot() for name, histogram in self.builds.items()},
            deliveries=dict(self.deliveries),
        )
