"""What the control plane counts of its own work: requests to the API, builds, deliveries of crons and triggers."""

from __future__ import annotations

from collections import Counter
from typing import Final

from fnkit.platform.measurements import BUILD_BOUNDS, REQUEST_BOUNDS, Histogram

__all__ = ["UNKNOWN_OPERATION", "ControlMeter"]

UNKNOWN_OPERATION: Final = "unknown"
"""The label of requests for paths that are none: what a client makes up names no series."""


class ControlMeter:
    """Counters of one control process, from zero.

    requests: by operation and status. request_durations: by operation. builds: by result, ``succeeded``,
    ``failed`` or ``cancelled``. deliveries: by kind (``cron``, ``sqs``, ``nats``) and result, ``succeeded`` or
    ``failed``.
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

    def delivered(self, kind: str, *, succeeded: bool) -> None:
        """Count what came of one firing, all its attempts together."""
        self.deliveries[kind, "succeeded" if succeeded else "failed"] += 1
