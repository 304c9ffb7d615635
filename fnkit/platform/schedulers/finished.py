"""Remembers which messages were handled recently."""

from __future__ import annotations

from typing import Final

__all__ = ["RecentIds"]

_RECENT_IDS_PER_GENERATION: Final = 5000


class RecentIds:
    """The ids of the messages handled last, at least 5000.

    A message that the broker delivers again because its acknowledgement was lost is recognised by its id. Ids are
    dropped in two generations, which is cheaper than tracking the oldest one.
    """

    def __init__(self) -> None:
        self._newer: set[str] = set()
        self._older: set[str] = set()

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._newer or message_id in self._older

    def add(self, message_id: str) -> None:
        """Add an id."""
        self._newer.add(message_id)
        if len(self._newer) >= _RECENT_IDS_PER_GENERATION:
            self._older, self._newer = self._newer, set()
