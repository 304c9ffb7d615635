"""Calls back for operations that are still running 50 ms after they started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["SlowStartNotifier"]

_SLOW_START_SECONDS: Final = 0.05

T = TypeVar("T")


class SlowStartNotifier(Generic[T]):
    """Calls ``notify`` for each added item 50 to 100 ms after it was added.

    One timer serves all items. A timer for each would cost more than handling a quick message does.
    """

    def __init__(self, notify: Callable[[T], None]) -> None:
        self._notify = notify
        self._started: list[T] = []
        self._started_earlier: list[T] = []
        self._is_timer_set = False

    def add(self, item: T) -> None:
        """Add an item whose operation starts now."""
        self._started.append(item)
        if not self._is_timer_set:
            self._is_timer_set = True
            asyncio.get_running_loop().call_later(_SLOW_START_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        older, self._started_earlier, self._started = self._started_earlier, self._started, []
        self._is_timer_set = bool(self._started_earlier)
        if self._is_timer_set:
            asyncio.get_running_loop().call_later(_SLOW_START_SECONDS, self._on_timer)
        for item in older:
            self._notify(item)
