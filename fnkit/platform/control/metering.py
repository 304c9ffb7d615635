"""What the control plane counts of its own work: requests to the API, builds, deliveries of crons and triggers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fnkit.platform.measurements import BUILD_BOUNDS, REQUEST_BOUNDS, Histogram, HistogramValue

__all__ = ["ControlMeasurements", "ControlMeter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMeasurements:
    """What a ``ControlMeter`` had counted at one moment."""

    requests: dict[tuple[str, int], int]
    request_durations: dict[str, HistogramValue]
    builds: dict[str, HistogramValue]
    deliveries: dict[tuple[str, str], int]


class ControlMeter:
    """Counters of one control process, from zero.

    requests: by operation and status. request_durations: by operation. builds: by result, ``succeeded``,
    ``failed`` or ``cancelled``. deliveries: by kind (``cron``, ``sqs``, ``nats``) and result:
    ``succeeded``, ``failed``, ``dead``, ``unknown``.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.request_durations: dict[str, Histogram] = {}
        self.builds: dict[str, Histogram] = {}
        self.deliveries: Counter[tuple[str, str]] = Counter()

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """Count a request to the API."""
        self.requests[operation, status] += 1
        durations = self.request_durations.get(operation)
        if durations is None:
            durations = self.request_durations[operation] = Histogram(REQUEST_BOUNDS)
        durations.observe(seconds)

    def built(self, result: str, seconds: float) -> None:
        """Count a build."""
        durations = self.builds.get(result)
        if durations is None:
            durations = self.builds[result] = Histogram(BUILD_BOUNDS)
        durations.observe(seconds)

    def delivered(self, kind: str, result: str) -> None:
        """Count what came of one firing, all its attempts together."""
        self.deliveries[kind, result] += 1

    def read(self) -> ControlMeasurements:
        """Return what was counted so far; the counters go on."""
        return ControlMeasurements(
            requests=dict(self.requests),
            request_durations={name: histogram.value() for name, histogram in self.request_durations.items()},
            builds={name: histogram.value() for name, histogram in self.builds.items()},
            deliveries=dict(self.deliveries),
        )
