"""Results of benchmarks, and alternating measurement of two candidates.

Absolute times differ between machines and drift on a single one. Each round therefore runs fnkit and the reference
once; the result is the ratio of the two medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "BenchmarkSkipped",
    "Comparison",
    "Figure",
    "Missing",
    "Result",
    "elapsed_seconds",
    "measure_alternately",
]


class BenchmarkSkipped(Exception):
    """The benchmark cannot run on this machine; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of fnkit (``ours``) with a reference. Times are seconds, one per round.

    Attributes:
        goal: The largest ratio that is wanted.
        goal_seconds: The largest median of fnkit that is wanted.
    """

    ours: str
    reference: str
    our_seconds: tuple[float, ...]
    reference_seconds: tuple[float, ...]
    goal: float | None = None
    goal_seconds: float | None = None

    @property
    def our_median(self) -> float:
        """The median of fnkit in seconds."""
        return statistics.median(self.our_seconds)

    @property
    def reference_median(self) -> float:
        """The median of the reference in seconds."""
        return statistics.median(self.reference_seconds)

    @property
    def ratio(self) -> float:
        """The median of fnkit divided by that of the reference; below 1, fnkit is faster."""
        return self.our_median / self.reference_median


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement without a reference."""

    what: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A row that this machine cannot measure.

    Attributes:
        what: The row.
        reason: What is missing, in one sentence.
    """

    what: str
    reason: str


Result: TypeAlias = Comparison | Figure | Missing
"""A row of a benchmark."""


def elapsed_seconds(work: Callable[[], object]) -> float:
    """Return the duration of a call in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure_alternately(
    rounds: int, ours: Callable[[], float], reference: Callable[[], float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure both once per round and swap the order from round to round, so that drift affects both alike.

    Returns:
        The values of ``ours`` and of ``reference``, one per round.
    """
    our_seconds: list[float] = []
    reference_seconds: list[float] = []
    for number in range(rounds):
        measurements = [(our_seconds, ours), (reference_seconds, reference)]
        for values, measure in measurements if number % 2 == 0 else reversed(measurements):
            values.append(measure())
    return tuple(our_seconds), tuple(reference_seconds)
