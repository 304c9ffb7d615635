"""The pool of pre-warmed workers: forked ahead of use, assigned to no deployment yet.

The pool is refilled once nothing was taken from it for a moment, so that forks do not slow down a burst of starts.
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
    """Pre-warmed workers by interpreter.

    Args:
        size: The number of workers to keep for each interpreter.
        fork: Forks a worker for an interpreter. Raises ``OSError`` if it cannot.
    """

    def __init__(self, size: int, fork: Callable[[str], Awaitable[Instance]]) -> None:
        self._size = size
        self._fork = fork
        self._in_hand: dict[str, deque[Instance]] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refilling: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def take(self, interpreter: str) -> Instance | None:
        """Return a live worker, ``None`` without one."""
        workers = self._in_hand.get(interpreter)
        while workers:
            worker = workers.popleft()
            if worker.is_blank:
                return worker
        return None

    def refill(self, interpreter: str) -> None:
        """Fill the pool again: after a moment, or at once if it is empty."""
        if self._in_hand.get(interpreter):
            self._refill_in(_REFILL_SECONDS, interpreter)
        else:
            self._stop_waiting(interpreter)
            self._refill(interpreter)

    def ended(self, worker: Instance) -> None:
        """Replace a worker that has ended.

        After a delay: whatever killed it may kill its replacement too.
        """
        interpreter = worker.zygote.interpreter
        workers = self._in_hand.get(interpreter)
        if not self._closed and workers is not None and worker in workers:
            workers.remove(worker)
            self._refill_in(_REPLACE_SECONDS, interpreter)

    def distrust(self, interpreter: str) -> None:
        """Discard the pool after a worker was killed during its start; the next start forks a fresh one.

        Whatever killed that worker, such as a memory killer, may be about to kill the others.
        """
        workers = self._in_hand.get(interpreter)
        while workers:
            workers.popleft().kill("discarded")

    def _refill_in(self, seconds: float, interpreter: str) -> None:
        self._stop_waiting(interpreter)
        self._timers[interpreter] = self._loop.call_later(seconds, self._refill, interpreter)

    def _stop_waiting(self, interpreter: str) -> None:
        if (waiting := self._timers.pop(interpreter, None)) is not None:
            waiting.cancel()

    def _refill(self, interpreter: str) -> None:
        workers = self._in_hand.setdefault(interpreter, deque())
        if self._closed or interpreter in self._refilling or len(workers) >= self._size:
            return
        self._refilling.add(interpreter)
        task = self._loop.create_task(self._add(interpreter, workers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _add(self, interpreter: str, workers: deque[Instance]) -> None:
        try:
            while len(workers) < self._size and not self._closed:
                worker = await self._fork(interpreter)
                if not worker.is_blank:
                    return  # killed at once; another attempt would probably fail too
                workers.append(worker)
        except OSError:
            return  # the next start tries again and reports the error
        finally:
            self._refilling.discard(interpreter)

    def close(self) -> None:
        """Stop refilling."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for interpreter in list(self._timers):
            self._stop_waiting(interpreter)
