"""Room for one Pod: what a start does while the namespace's quota or the nodes have none."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

_EVICTION_SECONDS: Final = 3.0  # until the scheduler or the quota notices that an instance has ended


class Room:
    """Ends idle instances of other functions, one at a time, and says what a start waits for if there is none.

    Args:
        is_releasing_memory: Returns whether an instance is being ended.
        evict_idle: Ends the instance that has been idle longest, and returns whether there was one.
        warn: Called with what the start waits for.
    """

    def __init__(
        self,
        is_releasing_memory: Callable[[], bool],
        evict_idle: Callable[[], bool],
        warn: Callable[[str], None],
    ) -> None:
        self._is_releasing_memory = is_releasing_memory
        self._evict_idle = evict_idle
        self._warn = warn
        self._last_eviction = -_EVICTION_SECONDS

    def make(self, obstacle: str, *, can_help: bool = True) -> None:
        """End an idle instance, unless one was ended a moment ago or it cannot help."""
        if can_help and (self._is_releasing_memory() or monotonic() - self._last_eviction < _EVICTION_SECONDS):
            return
        if can_help and self._evict_idle():
            self._last_eviction = monotonic()
        else:
            self._warn(obstacle)
