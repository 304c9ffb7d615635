"""What began a moment ago: those that are then still under way are told of, and of all the others nobody hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Beginnings"]

_MOMENT_SECONDS: Final = 0.05  # at least; at most twice that

T = TypeVar("T")


class Beginnings(Generic[T]):
    """``tell`` gets each a moment after it began. One timer serves them all: a timer for each would cost more."""

    def __init__(self, tell: Callable[[T], None]) -> None:
        self._tell = tell
        self._new: list[T] = []
        self._older: list[T] = []
        self._is_running = False

    def add(self, begun: T) -> None:
        """It begins now."""
        self._new.append(begun)
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self._turn)

    def _turn(self) -> None:
        older, self._older, self._new = self._older, self._new, []
        self._is_running = bool(self._older)
        if self._is_running:
            asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self._turn)
        for begun in older:
            self._tell(begun)
