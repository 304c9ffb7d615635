"""The messages that were taken a moment ago: one that comes again, since its acknowledgement was lost, is known."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Finished"]

_KEPT: Final = 5000


class Finished:
    """The newest ids."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._order: deque[str] = deque()

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids

    def add(self, message_id: str) -> None:
        """Remember an id; the oldest one goes."""
        self._ids.add(message_id)
        self._order.append(message_id)
        if len(self._order) > _KEPT:
            self._ids.discard(self._order.popleft())
