"""Messages of SQS, and the order of those in the same message group."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from fnkit.platform.schedulers.listening import BrokerError
from fnkit.platform.schedulers.sqs_queue import SqsQueue

__all__ = ["FifoOrdering", "SqsMessage"]


class SqsMessage:
    """A received message.

    Attributes:
        group: The message group; ``None`` if the queue is not FIFO.
        is_held: Whether this process holds the message: it was not returned to the queue.
    """

    __slots__ = ("_ordering", "_queue", "body", "deliveries", "group", "receipt_handle", "id", "is_held")

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
