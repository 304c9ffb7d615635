"""Long-polls a queue for at most as many messages as there are free delivery slots, and keeps FIFO groups in order.

A standard queue has one request at a time. On a FIFO queue each request asks for one message: a second message of
the same group would have to wait here, and would count as received if the first one fails. To keep the throughput,
there is one long poll and, as long as the queue has messages, up to four short polls beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from fnkit.platform.control.events.queues.interface import BrokerError, Prefetch
from fnkit.platform.control.events.queues.sqs.client import MAX_POLL_SECONDS
from fnkit.platform.control.events.queues.sqs.errors import SqsUnavailable
from fnkit.platform.control.events.queues.sqs.queue import SqsQueue

_MAX_MESSAGES_PER_POLL: Final = 10  # the limit of SQS
_MAX_EXTRA_POLLS: Final = 4
_BRIEF_POLL_SECONDS: Final = 1
"""Of a long poll while groups are in progress: their next message becomes available when this process is done."""
_OUTAGE_GRACE_SECONDS: Final = 5.0
"""Seconds for which a service may be unavailable before its triggers report an error."""
_MIN_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 5.0
_EARLY_RESPONSE_SECONDS: Final = 0.5
_EARLY_RESPONSE_DELAY: Final = 0.2


class Poller:
    """Requests messages from a queue. ``run`` may be called once."""

    def __init__(self, queue: SqsQueue, prefetch: Prefetch, ordering: FifoOrdering) -> None:
        self._queue = queue
        self._prefetch = prefetch
        self._ordering = ordering
        self._changed = asyncio.Event()
        self._requests: dict[asyncio.Task[None], int] = {}
        self._long_poll: asyncio.Task[None] | None = None
        self._has_more = False
        self._last_response = asyncio.get_running_loop().time()
        self._unavailable_since: float | None = None
        self._backoff = _MIN_BACKOFF
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Receive messages until cancelled.

        Raises:
            BrokerError: The queue rejects a request, or is unavailable for too long.
        """
        self._prefetch.on_demand = self._changed.set
        self._ordering.on_group_freed = self._on_group_freed
        try:
            while True:
                self._changed.clear()
                if (error := self._error or self._queue.rejection) is not None:
                    raise error
                self._start_polls()
                await self._changed.wait()
        finally:
            self._prefetch.on_demand = self._ordering.on_group_freed = _noop
            for poll in self._requests:
                poll.cancel()

    def _start_polls(self) -> None:
        is_fifo = self._queue.attributes.is_fifo
        free = self._prefetch.demand - sum(self._requests.values()) - len(self._ordering.buffered)
        if free > 0 and self._long_poll is None:
            count = 1 if is_fifo else min(_MAX_MESSAGES_PER_POLL, free)
            wait = _BRIEF_POLL_SECONDS if self._ordering.has_in_progress else MAX_POLL_SECONDS
            self._long_poll = self._start_poll(self._run_long_poll(count, wait), count)
            free -= count
        while is_fifo and self._has_more and free > 0 and len(self._requests) <= _MAX_EXTRA_POLLS:
            self._start_poll(self._run_short_poll(), 1)
            free -= 1

    def _start_poll(self, coroutine: Coroutine[Any, Any, None], count: int) -> asyncio.Task[None]:
        task = asyncio.ensure_future(coroutine)
        self._requests[task] = count
        task.add_done_callback(self._on_poll_done)
        return task

    def _on_poll_done(self, task: asyncio.Task[None]) -> None:
        self._requests.pop(task, None)
        if task is self._long_poll:
            self._long_poll = None
        if not task.cancelled() and task.exception() is not None:
            self._error = task.exception()
        self._changed.set()

    def _on_group_freed(self) -> None:
        self._has_more = True
        self._changed.set()

    async def _run_long_poll(self, count: int, wait_seconds: int) -> None:
        started = asyncio.get_running_loop().time()
        received = await self._receive(count, wait_seconds)
        if received:
            self._has_more = True
        elif received is not None and self._last_response - started < min(wait_seconds, _EARLY_RESPONSE_SECONDS):
            await asyncio.sleep(_EARLY_RESPONSE_DELAY)  # no busy loop if the service does not support long polling

    async def _run_short_poll(self) -> None:
        self._has_more = bool(await self._receive(1, 0))

    async def _receive(self, count: int, wait_seconds: int) -> int | None:
        """Receive messages and put them into the prefetch buffer.

        Returns:
            The number of messages, or ``None`` if there was no response.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + wait_seconds  # no response is expected before
        try:
            messages = await self._queue.receive(count, wait_seconds)
        except SqsUnavailable:
            if self._unavailable_since is None:
                self._unavailable_since = min(loop.time(), due)
            if loop.time() - self._unavailable_since >= _OUTAGE_GRACE_SECONDS:
                raise
            await asyncio.sleep(self._backoff)
            self._backoff = min(_MAX_BACKOFF, self._backoff * 2)
            return None
        self._last_response = loop.time()
        self._unavailable_since, self._backoff = None, _MIN_BACKOFF
        for raw in messages:
            self._ordering.on_received(SqsMessage(self._queue, self._ordering, raw))
        return len(messages)


def _noop() -> None:
    """Do nothing."""


class FifoOrdering:
    """Allows one message per group at a time.

    FIFO queues do that themselves, except for messages of a group that were received while another one was under
    way. Such a message is buffered here, and returned to the queue if the one before it fails.

    Attributes:
        on_group_freed: Called when a group may continue. Set by the poller.
    """

    def __init__(self, put: Callable[[SqsMessage], None]) -> None:
        self._put = put
        self._in_progress: dict[str, str] = {}
        self._buffered: dict[str, deque[SqsMessage]] = {}
        self.on_group_freed: Callable[[], None] = lambda: None

    @property
    def has_in_progress(self) -> bool:
        """Whether a message of any group is in progress."""
        return bool(self._in_progress)

    @property
    def buffered(self) -> list[SqsMessage]:
        """The messages that wait for another one of their group."""
        return [message for messages in self._buffered.values() for message in messages]

    def on_received(self, message: SqsMessage) -> None:
        """Put the message into the prefetch buffer, or buffer it here if its group has one in progress."""
        group = message.group
        if group is None or self._in_progress.setdefault(group, message.id) == message.id:
            self._put(message)
        else:
            self._buffered.setdefault(group, deque()).append(message)

    def on_deleted(self, message: SqsMessage) -> None:
        """Continue the group of a message that was deleted."""
        if (group := message.group) is None:
            return
        self._in_progress.pop(group, None)
        if buffered := self._buffered.get(group):
            self.on_received(buffered.popleft())
        if not buffered:
            self._buffered.pop(group, None)
        self.on_group_freed()

    async def on_failed(self, message: SqsMessage) -> None:
        """Return the buffered messages of a failed message's group to the queue.

        Otherwise they would be delivered before the failed one, or the queue would block their group while they are
        held.
        """
        if (group := message.group) is None:
            return
        self._in_progress.pop(group, None)
        for one in self._buffered.pop(group, ()):
            with contextlib.suppress(BrokerError):  # it becomes visible by itself
                await one.release(0)


class SqsMessage:
    """A received message.

    Attributes:
        group: The message group; ``None`` if the queue is not FIFO.
        is_held: Whether this process holds the message: it was not returned to the queue.
    """

    __slots__ = ("_ordering", "_queue", "body", "deliveries", "group", "id", "is_held", "receipt_handle")

    def __init__(self, queue: SqsQueue, ordering: FifoOrdering, raw: Mapping[str, Any]) -> None:
        attributes = raw.get("Attributes") or {}
        self._queue = queue
        self._ordering = ordering
        self.id = str(raw["MessageId"])
        self.receipt_handle = str(raw["ReceiptHandle"])
        # Bodies are text. JSON can contain lone surrogates, which UTF-8 cannot encode; they must not block a queue.
        self.body = str(raw.get("Body") or "").encode("utf-8", "replace")
        self.deliveries = int(attributes.get("ApproximateReceiveCount", 1))
        self.group: str | None = attributes.get("MessageGroupId") if queue.attributes.is_fifo else None
        self.is_held = True

    @property
    def attempt(self) -> int:
        """The number of this attempt, by the receive count of the queue."""
        return self._queue.attributes.attempt_number(self.deliveries)

    async def ack(self) -> None:
        """Delete the message in the background. Only the next message of its group waits for that."""
        await self._queue.run_in_background(self._delete())

    async def nack(self, delay: float) -> None:
        """Make the message visible again after a delay."""
        await self._ordering.on_failed(self)
        await self.release(delay)

    async def release(self, delay: float) -> None:
        """Make the message visible again, without affecting its group."""
        self.is_held = False
        await self._queue.change_visibility(self.receipt_handle, math.ceil(delay))

    async def _delete(self) -> None:
        try:
            await self._queue.delete(self.receipt_handle)
        except BrokerError:  # it is delivered again, and is recognised then
            await self._ordering.on_failed(self)
        else:
            self._ordering.on_deleted(self)

    async def terminate(self) -> None:
        """Delete the message."""
        await self.ack()
