"""Limits concurrency per key, first in, first out."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["KeyedLimiter"]


class KeyedLimiter:
    """A limit of concurrent holders per key. Lives on one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._in_use: dict[str, int] = {}
        self._waiters: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}

    async def acquire(self, key: str, limit: int) -> None:
        """Wait until fewer than ``limit`` holders have the key, and acquire it. Each call needs one ``release``."""
        if not self._waiters.get(key) and self._in_use.get(key, 0) < limit:
            self._in_use[key] = self._in_use.get(key, 0) + 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, deque()).append((waiter, limit))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(key)  # it was acquired in the same iteration of the event loop as the cancellation
            raise

    def release(self, key: str) -> None:
        """Release the key, and pass it to the waiters that their limit allows."""
        self._in_use[key] -= 1
        waiters = self._waiters.get(key)
        while waiters:
            waiter, limit = waiters[0]
            if not waiter.cancelled():
                if self._in_use[key] >= limit:
                    return
                self._in_use[key] += 1
                waiter.set_result(None)
            waiters.popleft()
        self._waiters.pop(key, None)
        if not self._in_use[key]:
            del self._in_use[key]
