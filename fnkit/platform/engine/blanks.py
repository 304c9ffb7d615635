"""Blank instances in hand: forked ahead, nobody's yet, taken by the next starts.

They are refilled once nobody has taken one for a moment: whoever has just got one is answered first, and so is the
next, as long as there are some in hand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from fnkit.platform.engine.instance import Instance

__all__ = ["Blanks"]

_REFILL_SECONDS: Final = 0.05
_REPLACE_SECONDS: Final = 0.5


class Blanks:
    """So many of each interpreter; ``fork`` makes one more, ``OSError`` when it cannot."""

    def __init__(self, wanted: int, fork: Callable[[str], Awaitable[Instance]]) -> None:
        self._wanted = wanted
        self._fork = fork
        self._in_hand: dict[str, deque[Instance]] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refilling: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def take(self, interpreter: str) -> Instance | None:
        """Return one that lives."""
        blanks = self._in_hand.get(interpreter)
        while blanks:
            blank = blanks.popleft()
            if blank.is_blank:
                return blank
        return None

    def refill(self, interpreter: str) -> None:
        """Have as many as wanted again: in a moment, or at once where none is left."""
        if self._in_hand.get(interpreter):
            self._refill_in(_REFILL_SECONDS, interpreter)
        else:
            self._stop_waiting(interpreter)
            self._refill(interpreter)

    def ended(self, blank: Instance) -> None:
        """One of them has ended: have another one, but not at once. Whatever ends them may go on."""
        interpreter = blank.zygote.interpreter
        blanks = self._in_hand.get(interpreter)
        if not self._closed and blanks is not None and blank in blanks:
            blanks.remove(blank)
            self._refill_in(_REPLACE_SECONDS, interpreter)

    def distrust(self, interpreter: str) -> None:
        """Somebody killed one that was starting, and may be about to kill these: the next one is a new one."""
        blanks = self._in_hand.get(interpreter)
        while blanks:
            blanks.popleft().kill("not to be relied on")

    def _refill_in(self, seconds: float, interpreter: str) -> None:
        self._stop_waiting(interpreter)
        self._timers[interpreter] = self._loop.call_later(seconds, self._refill, interpreter)

    def _stop_waiting(self, interpreter: str) -> None:
        if (waiting := self._timers.pop(interpreter, None)) is not None:
            waiting.cancel()

    def _refill(self, interpreter: str) -> None:
        blanks = self._in_hand.setdefault(interpreter, deque())
        if self._closed or interpreter in self._refilling or len(blanks) >= self._wanted:
            return
        self._refilling.add(interpreter)
        task = self._loop.create_task(self._add(interpreter, blanks))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _add(self, interpreter: str, blanks: deque[Instance]) -> None:
        try:
            while len(blanks) < self._wanted and not self._closed:
                blank = await self._fork(interpreter)
                if not blank.is_blank:
                    return  # killed at birth: no reason to go on and on
                blanks.append(blank)
        except OSError:
            return  # the next start tries again, and says why it cannot
        finally:
            self._refilling.discard(interpreter)

    def close(self) -> None:
        """Make no more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for interpreter in list(self._timers):
            self._stop_waiting(interpreter)
