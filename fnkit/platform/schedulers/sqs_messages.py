"""Messages of SQS as the common part handles them, and the order of those that belong together."""

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
    """One that was received. group: ``None`` in a queue without order. is_ours: not handed back yet."""

    __slots__ = ("_groups", "_queue", "body", "deliveries", "group", "handle", "id", "is_ours")

    def __init__(self, queue: SqsQueue, groups: Groups, raw: Mapping[str, Any]) -> None:
        attributes = raw.get("Attributes") or {}
        self._queue = queue
        self._groups = groups
        self.id = str(raw["MessageId"])
        self.handle = str(raw["ReceiptHandle"])
        # SQS holds text alone. What JSON can say and UTF-8 cannot, halves of a pair, must not stop a queue.
        self.body = str(raw.get("Body") or "").encode("utf-8", "replace")
        self.deliveries = int(attributes.get("ApproximateReceiveCount", 1))
        self.group: str | None = attributes.get("MessageGroupId") if queue.traits.is_fifo else None
        self.is_ours = True

    @property
    def attempt(self) -> int:
        """See ``listening.Message``."""
        return self._queue.traits.attempt(self.deliveries)

    async def done(self) -> None:
        """Delete it, soon: nobody waits for that but the next one of its group."""
        await self._queue.soon(self._delete())

    async def again(self, seconds: float) -> None:
        """Have it appear again."""
        await self._groups.failed(self)
        await self.back(seconds)

    async def back(self, seconds: float) -> None:
        """As ``again``, of a message that its group does not know (any more)."""
        self.is_ours = False
        await self._queue.hide(self.handle, math.ceil(seconds))

    async def _delete(self) -> None:
        try:
            await self._queue.delete(self.handle)
        except BrokerTrouble:  # it comes again, and is known then
            await self._groups.failed(self)
        else:
            self._groups.settled(self)

    async def bury(self) -> None:
        """Delete it: nobody else keeps what failed for good."""
        await self.done()


class Groups:
    """One message of a group at a time.

    Queues see to that themselves. Where one does not (a message that was handed out while another one of its group
    was on its way), what is too early waits here, and goes back if the one before it fails.
    """

    def __init__(self, offer: Callable[[SqsMessage], None]) -> None:
        self._offer = offer
        self._heads: dict[str, str] = {}
        self._early: dict[str, deque[SqsMessage]] = {}
        self.on_settled: Callable[[], None] = lambda: None

    @property
    def has_heads(self) -> bool:
        """Whether any message of a group is on its way."""
        return bool(self._heads)

    @property
    def early(self) -> list[SqsMessage]:
        """What waits."""
        return [message for messages in self._early.values() for message in messages]

    def arrived(self, message: SqsMessage) -> None:
        """Offer it, or have it wait."""
        group = message.group
        if group is None or self._heads.setdefault(group, message.id) == message.id:
            self._offer(message)
        else:
            self._early.setdefault(group, deque()).append(message)

    def settled(self, message: SqsMessage) -> None:
        """It is gone: it is the next one's turn."""
        if (group := message.group) is None:
            return
        self._heads.pop(group, None)
        if early := self._early.get(group):
            self.arrived(early.popleft())
        if not early:
            self._early.pop(group, None)
        self.on_settled()

    async def failed(self, message: SqsMessage) -> None:
        """It comes again, and so must those after it, or the queue would keep its group closed."""
        if (group := message.group) is None:
            return
        self._heads.pop(group, None)
        for one in self._early.pop(group, ()):
            with contextlib.suppress(BrokerTrouble):  # then it comes by itself
                await one.back(0)
