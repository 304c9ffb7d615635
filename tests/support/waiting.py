"""Wait for a condition: poll until it holds or a deadline passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

__all__ = ["DEADLINE", "wait_until", "wait_until_async"]

DEADLINE: Final = 60.0
"""Seconds, below the limit of 120 per test; 2 s on an idle machine can be more than 20 s on a busy one."""

_POLL_INTERVAL: Final = 0.01

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], deadline: float = DEADLINE, *, what: str = "") -> T:
    """Poll the predicate until it returns a true value, and return that value.

    Args:
        predicate: Must not raise: an exception fails the test at once.
        deadline: Seconds until the wait fails.
        what: The awaited state, for the error message.

    Raises:
        AssertionError: The deadline passed.
    """
    end = time.monotonic() + deadline
    while True:
        if value := predicate():
            return value
        if time.monotonic() > end:
            raise AssertionError(_timeout_message(deadline, what or str(predicate)))
        time.sleep(_POLL_INTERVAL)


async def wait_until_async(
    predicate: Callable[[], Awaitable[object] | object], deadline: float = DEADLINE, *, what: str = ""
) -> None:
    """Like ``wait_until``, without blocking the event loop; the predicate may be a coroutine function."""
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if await value if isinstance(value, Awaitable) else value:
            return
        if time.monotonic() > end:
            raise AssertionError(_timeout_message(deadline, what or str(predicate)))
        await asyncio.sleep(_POLL_INTERVAL)


def _timeout_message(deadline: float, what: str) -> str:
    return f"not within {deadline:g} s: {what}"
