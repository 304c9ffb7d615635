"""Calls back for operations that are still running 50 ms after they started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Beginnings"]

_MOMENT_SECONDS: Final = 0.05

T = TypeVar("T")


class Beginnings(Generic[T]):
    """Calls ``notify`` for each added item 50 to 100 ms after it was added.

    One timer serves all items. A timer for each would cost more than handling a quick message does.
    """

    def __init__(self, notify: Callable[[T], None]) -> None:
        self._tell = notify
        self._new: list[T] = []
        self._older: list[T] = []
        self._is_running = False

    def add(self, item: T) -> None:
        """Add an item whose operation starts now."""
        self._new.append(item)
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self._turn)

    def _turn(self) -> None:
        older, self._older, self._new = self._older, self._new, []
        self._is_running = bool(self._older)
        if self._is_running:
            asyncio.get_running_loop().call_later(_MOMENT_SECONDS, self._turn)
        for item in older:
            self._tell(item)
