"""Waiting for something to become true: as long as it takes, up to a deadline that only a fault reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], deadline: float = 30.0, *, what: str = "") -> T:
    """Ask until the answer is true, and return it; fail after ``deadline`` seconds, saying ``what`` never came."""
    end = time.monotonic() + deadline
    while True:
        if answer := predicate():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what or predicate}")
        time.sleep(0.01)
