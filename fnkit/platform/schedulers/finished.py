"""The messages that were taken a moment ago: one that comes again, since its acknowledgement was lost, is known."""

from __future__ import annotations

from typing import Final

__all__ = ["Finished"]

_KEPT: Final = 5000


class Finished:
    """The newest ids."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids

    def add(self, message_id: str) -> None:
        """Remember an id; the oldest one goes."""
        self._ids[message_id] = None
        if len(self._ids) > _KEPT:
            del self._ids[next(iter(self._ids))]
