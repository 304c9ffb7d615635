"""Messages of SQS, and the order of those in the same message group."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.sqs_queue import SqsQueue

__all__ = ["Groups", "SqsMessage"]


class SqsMessage:
    """A received message.

    Attributes:
        group: The message group; ``None`` if the queue is not FIFO.
        is_held: Whether this process holds the message: it was not returned to the queue.
    """

    __slots__ = ("_groups", "_queue", "body", "deliveries", "group", "handle", "id", "is_ours")

    def __init__(self, queue: SqsQueue, ordering: Groups, raw: Mapping[str, Any]) -> None:
        attributes = raw.get("Attributes") or {}
        self._queue = queue
        self._groups = ordering
        self.id = str(raw["MessageId"])
        self.handle = str(raw["ReceiptHandle"])
        # Bodies are text. JSON can contain lone surrogates, which UTF-8 cannot encode; they must not block a queue.
        self.body = str(raw.get("Body") or "").encode("utf-8", "replace")
        self.deliveries = int(attributes.get("ApproximateReceiveCount", 1))
        self.group: str | None = attributes.get("MessageGroupId") if queue.traits.is_fifo else None
        self.is_ours = True

    @property
    def attempt(self) -> int:
        """The number of this attempt, by the receive count of the queue."""
        return self._queue.traits.attempt(self.deliveries)

    async def done(self) -> None:
        """Delete the message in the background. Only the next message of its group waits for that."""
        await self._queue.soon(self._delete())

    async def again(self, delay: float) -> None:
        """Make the message visible again after a delay."""
        await self._groups.failed(self)
        await self.back(delay)

    async def back(self, delay: float) -> None:
        """Make the message visible again, without affecting its group."""
        self.is_ours = False
        await self._queue.hide(self.handle, math.ceil(delay))

    async def _delete(self) -> None:
        try:
            await self._queue.delete(self.handle)
        except BrokerTrouble:  # it is delivered again, and is recognised then
            await self._groups.failed(self)
        else:
            self._groups.settled(self)

    async def bury(self) -> None:
        """Delete the message."""
        await self.done()


class Groups:
    """Allows one message per group at a time.

    FIFO queues do that themselves, except for messages of a group that were received while another one was under
    way. Such a message is buffered here, and returned to the queue if the one before it fails.

    Attributes:
        on_group_freed: Called when a group may continue. Set by the poller.
    """

    def __init__(self, offer: Callable[[SqsMessage], None]) -> None:
        self._offer = offer
        self._heads: dict[str, str] = {}
        self._early: dict[str, deque[SqsMessage]] = {}
        self.on_settled: Callable[[], None] = lambda: None

    @property
    def has_heads(self) -> bool:
        """Whether a message of any group is in progress."""
        return bool(self._heads)

    @property
    def early(self) -> list[SqsMessage]:
        """The messages that wait for another one of their group."""
        return [message for messages in self._early.values() for message in messages]

    def arrived(self, message: SqsMessage) -> None:
        """Put the message into the prefetch buffer, or buffer it here if its group has one in progress."""
        group = message.group
        if group is None or self._heads.setdefault(group, message.id) == message.id:
            self._offer(message)
        else:
            self._early.setdefault(group, deque()).append(message)

    def settled(self, message: SqsMessage) -> None:
        """Continue the group of a message that was deleted."""
        if (group := message.group) is None:
            return
        self._heads.pop(group, None)
        if buffered := self._early.get(group):
            self.arrived(buffered.popleft())
        if not buffered:
            self._early.pop(group, None)
        self.on_settled()

    async def failed(self, message: SqsMessage) -> None:
        """Return the buffered messages of a failed message's group to the queue.

        Otherwise they would be delivered before the failed one, or the queue would block their group while they are
        held.
        """
        if (group := message.group) is None:
            return
        self._heads.pop(group, None)
        for one in self._early.pop(group, ()):
            with contextlib.suppress(BrokerTrouble):  # it becomes visible by itself
                await one.back(0)
