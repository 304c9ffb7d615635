"""Threads for calls that block: a few for one trigger, made when they are needed, gone when they are not.

They are daemons: one that waits in a long poll holds up neither the end of its trigger nor that of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

__all__ = ["Workers"]

_IDLE_SECONDS: Final = 5.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    """One call. ``unwanted`` gets its result where nobody waits for it any more."""

    work: Callable[[], T]
    future: asyncio.Future[T]
    unwanted: Callable[[T], None] | None


class Workers:
    """At most ``limit`` threads; ``run`` belongs to one event loop."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting = 0  # jobs that no thread has taken
        self._idle = 0

    async def run(self, work: Callable[[], T], unwanted: Callable[[T], None] | None = None) -> T:
        """Return what ``work`` returns, from a thread. Cancelled, it still ends there, for ``unwanted``."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(work, future, unwanted))
        return await future

    def _put(self, job: _Job[Any]) -> None:
        with self._lock:
            self._jobs.put(job)
            self._waiting += 1
            is_short = self._waiting > self._idle and self._threads < self._limit
            if is_short:
                self._threads += 1
        if is_short:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            result, error = None, None
            try:
                result = job.work()
            except BaseException as fault:  # noqa: BLE001  it is the caller's
                error = fault
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                job.future.get_loop().call_soon_threadsafe(self._settle, job, result, error)
            del job, result, error  # nothing of it is kept while this thread waits

    def _next(self) -> _Job[Any] | None:
        with self._lock:
            self._idle += 1
        try:
            job = self._jobs.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            job = None
        with self._lock:
            self._idle -= 1
            if job is None and self._waiting:  # it came at this very moment
                with contextlib.suppress(queue.Empty):
                    job = self._jobs.get_nowait()
            if job is None:
                self._threads -= 1
            else:
                self._waiting -= 1
        return job

    def _settle(self, job: _Job[Any], result: object, error: BaseException | None) -> None:
        """On the loop: hand over, or see to what nobody waits for."""
        if not job.future.done():
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)
        elif error is None and job.unwanted is not None:
            unwanted = job.unwanted
            forgotten: asyncio.Future[None] = job.future.get_loop().create_future()
            forgotten.add_done_callback(lambda future: future.cancelled() or future.exception())
            self._put(_Job(lambda: unwanted(result), forgotten, None))
