"""Asks a queue for messages: for as many as there are free hands, never more, and waits at the queue for the first.

A queue without order is asked by one request at a time. Where groups have an order, each request asks for one
message, since a second one of the same group would have to wait here, and would count as tried where the first one
fails. So several ask: one that waits at the queue, and, as long as there is more, others that do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from fnkit.platform.schedulers.listening import Intake
from fnkit.platform.schedulers.sqs_client import LONGEST_POLL_SECONDS
from fnkit.platform.schedulers.sqs_faults import SqsAway
from fnkit.platform.schedulers.sqs_messages import Groups, SqsMessage
from fnkit.platform.schedulers.sqs_queue import SqsQueue

__all__ = ["Polls"]

_MOST: Final = 10  # SQS' own limit
_HASTY: Final = 4
_BRIEF_POLL_SECONDS: Final = 1  # while a group is closed by us, and opens when we are done
_PATIENCE_SECONDS: Final = 5.0
"""So long may a service that answered be away before its triggers are in error."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_EARLY_SECONDS: Final = 0.5
_EARLY_PAUSE: Final = 0.2


class Polls:
    """See the module. ``run`` once."""

    def __init__(self, queue: SqsQueue, intake: Intake, groups: Groups) -> None:
        self._queue = queue
        self._intake = intake
        self._groups = groups
        self._something = asyncio.Event()
        self._asked: dict[asyncio.Task[None], int] = {}
        self._waiting: asyncio.Task[None] | None = None
        self._has_more = False
        self._answered = asyncio.get_running_loop().time()
        self._away_since: float | None = None
        self._pause = _FIRST_PAUSE
        self._fault: BaseException | None = None

    async def run(self) -> None:
        """Ask, until cancelled.

        Raises:
            BrokerTrouble: the queue refuses, or is away for too long.
        """
        self._intake.on_wanted = self._something.set
        self._groups.on_settled = self._settled
        try:
            while True:
                self._something.clear()
                if (fault := self._fault or self._queue.refused) is not None:
                    raise fault
                self._ask()
                await self._something.wait()
        finally:
            self._intake.on_wanted = self._groups.on_settled = _nothing
            for poll in self._asked:
                poll.cancel()

    def _ask(self) -> None:
        is_fifo = self._queue.traits.is_fifo
        free = self._intake.wanted - sum(self._asked.values()) - len(self._groups.early)
        if free > 0 and self._waiting is None:
            number = 1 if is_fifo else min(_MOST, free)
            wait = _BRIEF_POLL_SECONDS if self._groups.has_heads else LONGEST_POLL_SECONDS
            self._waiting = self._start(self._wait(number, wait), number)
            free -= number
        while is_fifo and self._has_more and free > 0 and len(self._asked) <= _HASTY:
            self._start(self._look(), 1)
            free -= 1

    def _start(self, work: Coroutine[Any, Any, None], number: int) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._asked[task] = number
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._asked.pop(task, None)
        if task is self._waiting:
            self._waiting = None
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
        self._something.set()

    def _settled(self) -> None:
        self._has_more = True
        self._something.set()

    async def _wait(self, number: int, wait: int) -> None:
        started = asyncio.get_running_loop().time()
        found = await self._received(number, wait)
        if found is not None and found < number and not self._groups.has_heads:
            self._queue.emptied = self._answered
        if found:
            self._has_more = True
        elif found is not None and self._answered - started < min(wait, _EARLY_SECONDS):
            await asyncio.sleep(_EARLY_PAUSE)  # a queue that does not let us wait must not be asked without pause

    async def _look(self) -> None:
        self._has_more = bool(await self._received(1, 0))

    async def _received(self, number: int, wait: int) -> int | None:
        """Offer what comes; returns how many, ``None`` where no answer came."""
        loop = asyncio.get_running_loop()
        due = loop.time() + wait
        try:
            found = await self._queue.receive(number, wait)
        except SqsAway:
            if self._away_since is None:
                self._away_since = min(loop.time(), due)
            if loop.time() - self._away_since >= _PATIENCE_SECONDS:
                raise
            await asyncio.sleep(self._pause)
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
            return None
        self._answered = self._queue.heard = loop.time()
        self._away_since, self._pause = None, _FIRST_PAUSE
        for raw in found:
            self._groups.arrived(SqsMessage(self._queue, self._groups, raw))
        return len(found)


def _nothing() -> None:
    """Nobody asks."""
