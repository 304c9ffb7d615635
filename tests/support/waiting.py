"""Waiting for something to become true: as long as it takes, up to a deadline that only a fault reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["DEADLINE", "wait_until"]

DEADLINE: Final = 60.0
"""Seconds, below the test's own 120: what takes two on an idle machine takes more than twenty on a busy one."""

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], deadline: float = DEADLINE, *, what: str = "") -> T:
    """Ask until the answer is true, and return it; fail after ``deadline`` seconds, saying ``what`` never came.

    What the predicate raises is a failure, not a "not yet": it asks only for what is there at any moment.
    """
    end = time.monotonic() + deadline
    while True:
        if answer := predicate():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what or predicate}")
        time.sleep(0.01)
