"""Messages that wait for their next attempt, on the platform's clock; none of them keeps a hand busy."""

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
    """What waits, and until when. It is bounded: what finds no place is somebody else's to keep."""

    def __init__(self, clock: PlatformClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, int, T]] = []
        self._bytes = 0
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def park(self, waiting: T, size: int, due: float) -> bool:
        """Keep it, of that many bytes, until ``due`` (platform time); false where there is no room."""
        if len(self._heap) >= _PLACES or (self._heap and self._bytes + size > _BYTES):
            return False
        self._bytes += size
        heapq.heappush(self._heap, (due, next(self._numbers), size, waiting))
        self._changed.set()
        return True

    def due(self) -> list[T]:
        """Take out everything whose moment has come."""
        found, now = [], self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            _, _, size, waiting = heapq.heappop(self._heap)
            self._bytes -= size
            found.append(waiting)
        return found

    async def wait(self) -> None:
        """Return when something may be due."""
        self._changed.clear()
        waits = (
            asyncio.ensure_future(self._clock.wait_until(self._heap[0][0] if self._heap else None)),
            asyncio.ensure_future(self._changed.wait()),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
