"""One figure beside another, taken in turns: what a benchmark gives, and how it takes it.

Machines differ and drift, so absolute times say little. Each round runs ours and the reference once, one after the
other; the figure is the ratio of the two medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Comparison", "Figure", "Skipped", "in_turns", "seconds"]


class Skipped(Exception):
    """This machine cannot run the benchmark; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against the reference. Times are seconds, one a round."""

    ours: str
    reference: str
    our_seconds: tuple[float, ...]
    reference_seconds: tuple[float, ...]
    goal: float | None = None

    @property
    def our_median(self) -> float:
        """Seconds."""
        return statistics.median(self.our_seconds)

    @property
    def reference_median(self) -> float:
        """Seconds."""
        return statistics.median(self.reference_seconds)

    @property
    def ratio(self) -> float:
        """Ours as a part of the reference: below 1 is faster."""
        return self.our_median / self.reference_median


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured that stands beside nothing."""

    what: str
    value: float
    unit: str


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(
    rounds: int, ours: Callable[[], float], reference: Callable[[], float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure both once a round, the order swapped from round to round."""
    our_seconds: list[float] = []
    reference_seconds: list[float] = []
    for number in range(rounds):
        turns = [(our_seconds, ours), (reference_seconds, reference)]
        for figures, measure in turns if number % 2 == 0 else reversed(turns):
            figures.append(measure())
    return tuple(our_seconds), tuple(reference_seconds)
