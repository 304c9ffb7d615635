"""Long-polls a queue for at most as many messages as there are free delivery slots, and keeps FIFO groups in order.

A standard queue has one request at a time. On a FIFO queue each request asks for one message: a second message of
the same group would have to wait here, and would count as received if the first one fails. To keep the throughput,
there is one long poll and, as long as the queue has messages, up to four short polls beside it.
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

_MOST: Final = 10  # the limit of SQS
_HASTY: Final = 4
_BRIEF_POLL_SECONDS: Final = (
    1  # while groups are in progress: their next message becomes available when this process is done
)
_PATIENCE_SECONDS: Final = 5.0
"""Seconds for which a service may be unavailable before its triggers report an error."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_EARLY_SECONDS: Final = 0.5
_EARLY_PAUSE: Final = 0.2


class Polls:
    """Requests messages from a queue. ``run`` may be called once."""

    def __init__(self, queue: SqsQueue, prefetch: Intake, ordering: Groups) -> None:
        self._queue = queue
        self._intake = prefetch
        self._groups = ordering
        self._something = asyncio.Event()
        self._asked: dict[asyncio.Task[None], int] = {}
        self._waiting: asyncio.Task[None] | None = None
        self._has_more = False
        self._answered = asyncio.get_running_loop().time()
        self._away_since: float | None = None
        self._pause = _FIRST_PAUSE
        self._fault: BaseException | None = None

    async def run(self) -> None:
        """Receive messages until cancelled.

        Raises:
            BrokerError: The queue rejects a request, or is unavailable for too long.
        """
        self._intake.on_wanted = self._something.set
        self._groups.on_settled = self._settled
        try:
            while True:
                self._something.clear()
                if (error := self._fault or self._queue.refused) is not None:
                    raise error
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
            count = 1 if is_fifo else min(_MOST, free)
            wait = _BRIEF_POLL_SECONDS if self._groups.has_heads else LONGEST_POLL_SECONDS
            self._waiting = self._start(self._wait(count, wait), count)
            free -= count
        while is_fifo and self._has_more and free > 0 and len(self._asked) <= _HASTY:
            self._start(self._look(), 1)
            free -= 1

    def _start(self, work: Coroutine[Any, Any, None], count: int) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._asked[task] = count
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

    async def _wait(self, count: int, wait_seconds: int) -> None:
        started = asyncio.get_running_loop().time()
        received = await self._received(count, wait_seconds)
        if received is not None and received < count and not self._groups.has_heads:
            self._queue.emptied = self._answered
        if received:
            self._has_more = True
        elif received is not None and self._answered - started < min(wait_seconds, _EARLY_SECONDS):
            await asyncio.sleep(_EARLY_PAUSE)  # no busy loop if the service does not support long polling

    async def _look(self) -> None:
        self._has_more = bool(await self._received(1, 0))

    async def _received(self, count: int, wait_seconds: int) -> int | None:
        """Receive messages and put them into the prefetch buffer.

        Returns:
            The number of messages, or ``None`` if there was no response.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + wait_seconds  # no response is expected before
        try:
            messages = await self._queue.receive(count, wait_seconds)
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
        for raw in messages:
            self._groups.arrived(SqsMessage(self._queue, self._groups, raw))
        return len(messages)


def _nothing() -> None:
    """Do nothing."""
