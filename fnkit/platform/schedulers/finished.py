"""The messages that were taken a moment ago: one that comes again, since its acknowledgement was lost, is known."""

from __future__ import annotations

from typing import Final

__all__ = ["Finished"]

_KEPT: Final = 5000


class Finished:
    """The newest ids, at least ``_KEPT`` of them. They go by half: to know which is the oldest costs more."""

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._newer or message_id in self._older

    def add(self, message_id: str) -> None:
        """Remember an id."""
        self._newer.add(message_id)
        if len(self._newer) >= _KEPT:
            self._older, self._newer = self._newer, set()
