"""Whose turn it is: so many at a time for each key, first in, first out."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """Counts who is at it. Lives on one event loop."""

    def __init__(self) -> None:
        self._busy: dict[str, int] = {}
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}

    async def take(self, key: str, limit: int) -> None:
        """Return when fewer than ``limit`` are at it; every ``take`` that returns needs one ``give``."""
        if not self._waiting.get(key) and self._busy.get(key, 0) < limit:
            self._busy[key] = self._busy.get(key, 0) + 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append((turn, limit))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(key)  # it was this one's turn already
            raise

    def give(self, key: str) -> None:
        """The turn is over."""
        self._busy[key] -= 1
        waiting = self._waiting.get(key)
        while waiting:
            turn, limit = waiting[0]
            if not turn.cancelled():
                if self._busy[key] >= limit:
                    return
                self._busy[key] += 1
                turn.set_result(None)
            waiting.popleft()
        self._waiting.pop(key, None)
        if not self._busy[key]:
            del self._busy[key]
