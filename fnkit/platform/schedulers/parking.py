"""Holds messages until their next attempt is due on the platform clock, without using a delivery slot."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Final, Generic, TypeVar

from fnkit.platform.clock import PlatformClock

__all__ = ["RetryQueue"]

_MAX_QUEUED_MESSAGES: Final = 1000
_MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024

T = TypeVar("T")


class RetryQueue(Generic[T]):
    """A bounded priority queue of items, ordered by the time at which they are due."""

    def __init__(self, clock: PlatformClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, int, T]] = []
        self._total_bytes = 0
        self._sequence = itertools.count()
        self._changed = asyncio.Event()

    def put(self, item: T, size: int, due: float) -> bool:
        """Add an item.

        Args:
            item: The item.
            size: Its size in bytes.
            due: When it is due, in Unix seconds of platform time.

        Returns:
            False if the queue is full. An item larger than the limit is accepted if the queue is empty.
        """
        if len(self._heap) >= _MAX_QUEUED_MESSAGES or (self._heap and self._total_bytes + size > _MAX_QUEUED_BYTES):
            return False
        self._total_bytes += size
        heapq.heappush(self._heap, (due, next(self._sequence), size, item))
        self._changed.set()
        return True

    def pop_due(self) -> list[T]:
        """Remove and return all items that are due."""
        items, now = [], self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            _, _, size, item = heapq.heappop(self._heap)
            self._total_bytes -= size
            items.append(item)
        return items

    async def wait_until_due(self) -> None:
        """Return when an item may be due, or when one was added."""
        self._changed.clear()
        waiters = (
            asyncio.ensure_future(self._clock.wait_until(self._heap[0][0] if self._heap else None)),
            asyncio.ensure_future(self._changed.wait()),
        )
        try:
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
