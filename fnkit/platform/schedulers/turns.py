"""Limits concurrency per key, first in, first out."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """A limit of concurrent holders per key. Lives on one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._busy: dict[str, int] = {}
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}

    async def take(self, key: str, limit: int) -> None:
        """Wait until fewer than ``limit`` holders have the key, and acquire it. Each call needs one ``release``."""
        if not self._waiting.get(key) and self._busy.get(key, 0) < limit:
            self._busy[key] = self._busy.get(key, 0) + 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append((waiter, limit))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give(key)  # it was acquired in the same iteration of the event loop as the cancellation
            raise

    def give(self, key: str) -> None:
        """Release the key, and pass it to the waiters that their limit allows."""
        self._busy[key] -= 1
        waiters = self._waiting.get(key)
        while waiters:
            waiter, limit = waiters[0]
            if not waiter.cancelled():
                if self._busy[key] >= limit:
                    return
                self._busy[key] += 1
                waiter.set_result(None)
            waiters.popleft()
        self._waiting.pop(key, None)
        if not self._busy[key]:
            del self._busy[key]
