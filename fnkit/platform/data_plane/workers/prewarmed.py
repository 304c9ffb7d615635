"""The pool of pre-warmed workers: forked ahead of use, assigned to no deployment yet.

The pool is refilled once nothing was taken from it for a moment, so that forks do not slow down a burst of starts.
``docs/decisions/prewarmed-workers.md`` has the reasons and figures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Final

from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.instance import LocalInstance
from fnkit.platform.data_plane.workers.program import WorkerProgram

_REFILL_DELAY: Final = 0.05
_REPLACEMENT_DELAY: Final = 0.5


class WarmPool:
    """Pre-warmed workers by what they run.

    Args:
        factory: Forks workers.
        size: The number of workers to keep for each program.
    """

    def __init__(self, factory: WorkerFactory, size: int) -> None:
        self._factory = factory
        self._size = size
        self._available: dict[WorkerProgram, deque[LocalInstance]] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refilling: set[WorkerProgram] = set()
        self._timers: dict[WorkerProgram, asyncio.TimerHandle] = {}
        self._closed = False

    async def acquire(self, program: WorkerProgram) -> LocalInstance:
        """Return a pre-warmed worker that runs this program, or a new one.

        Raises:
            OSError: A worker could not be forked.
        """
        workers = self._available.get(program)
        while workers:
            worker = workers.popleft()
            if worker.is_prewarmed:
                return worker
        return await self._factory.fork(program)

    def refill(self, program: WorkerProgram) -> None:
        """Fill the pool again: after a moment, or at once if it is empty."""
        if self._available.get(program):
            self._schedule_refill(_REFILL_DELAY, program)
        else:
            self._cancel_timer(program)
            self._start_refill(program)

    def discard_all(self, program: WorkerProgram) -> None:
        """Discard the pool after a worker was killed; the next start forks a fresh one.

        Whatever killed that worker, such as a memory killer, may be about to kill the others.
        """
        workers = self._available.get(program)
        while workers:
            workers.popleft().kill("discarded")

    def _schedule_refill(self, delay: float, program: WorkerProgram) -> None:
        self._cancel_timer(program)
        self._timers[program] = self._loop.call_later(delay, self._start_refill, program)

    def _cancel_timer(self, program: WorkerProgram) -> None:
        if (waiting := self._timers.pop(program, None)) is not None:
            waiting.cancel()

    def _start_refill(self, program: WorkerProgram) -> None:
        workers = self._available.setdefault(program, deque())
        if self._closed or program in self._refilling or len(workers) >= self._size:
            return
        self._refilling.add(program)
        task = self._loop.create_task(self._fork_missing(program, workers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fork_missing(self, program: WorkerProgram, workers: deque[LocalInstance]) -> None:
        try:
            while len(workers) < self._size and not self._closed:
                worker = await self._factory.fork(program)
                if not worker.is_prewarmed:
                    return  # killed at once; another attempt would probably fail too
                workers.append(worker)
                worker.process.exited.add_done_callback(partial(self._on_exited, worker))
        except OSError:
            return  # the next start tries again and reports the error
        finally:
            self._refilling.discard(program)

    def _on_exited(self, worker: LocalInstance, _exited: asyncio.Future[int | None]) -> None:
        """Replace a worker that has ended before it was taken.

        After a delay: whatever killed it may kill its replacement too.
        """
        program = worker.program
        workers = self._available[program]
        if not self._closed and worker in workers:
            workers.remove(worker)
            if worker.was_killed_externally:
                self.discard_all(program)
            self._schedule_refill(_REPLACEMENT_DELAY, program)

    def close(self) -> None:
        """Stop refilling."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for program in list(self._timers):
            self._cancel_timer(program)
