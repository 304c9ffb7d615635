"""Holds messages until their next attempt is due on the platform clock, without using a delivery slot."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Final, Generic, TypeVar

from fnkit.platform.clock import PlatformClock

__all__ = ["Parking"]

_PLACES: Final = 1000
_BYTES: Final = 64 * 1024 * 1024

T = TypeVar("T")


class Parking(Generic[T]):
    """A bounded priority queue of items, ordered by the time at which they are due."""

    def __init__(self, clock: PlatformClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, int, T]] = []
        self._bytes = 0
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def park(self, item: T, size: int, due: float) -> bool:
        """Add an item.

        Args:
            item: The item.
            size: Its size in bytes.
            due: When it is due, in Unix seconds of platform time.

        Returns:
            False if the queue is full. An item larger than the limit is accepted if the queue is empty.
        """
        if len(self._heap) >= _PLACES or (self._heap and self._bytes + size > _BYTES):
            return False
        self._bytes += size
        heapq.heappush(self._heap, (due, next(self._numbers), size, item))
        self._changed.set()
        return True

    def due(self) -> list[T]:
        """Remove and return all items that are due."""
        items, now = [], self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            _, _, size, item = heapq.heappop(self._heap)
            self._bytes -= size
            items.append(item)
        return items

    async def wait(self) -> None:
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
