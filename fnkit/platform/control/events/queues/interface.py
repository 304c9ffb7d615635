"""The interface between the consumer core and the kinds of brokers.

A ``BrokerBackend`` stands for one kind of broker and creates a ``MessageSource`` for each of its triggers. A source
receives the messages of one trigger: ``listen`` runs until it is cancelled, requests as many messages as
``Prefetch.demand`` says, and puts each into the ``Prefetch`` as a ``Message``. Everything else is common to all
kinds and done by ``QueueConsumer``: calling the function, concurrency, retries, the delivery log, and handling of
failures of the gateway, the function and this process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from fnkit.platform.model.records import TriggerRecord


class BrokerError(Exception):
    """The broker refuses a request, cannot be reached, or has no such queue.

    The message is shown to users and must not contain secrets.
    """


class BrokerBackend(Protocol):
    """A kind of broker: where its triggers are consumed, and how."""

    def handles(self, record: TriggerRecord) -> bool:
        """Return whether the backend handles the trigger."""

    def endpoint(self, record: TriggerRecord) -> Hashable | str:
        """Return where the trigger's messages come from, or the reason why it has no source.

        The trigger gets a new source whenever the returned value changes.
        """

    def create_source(self, record: TriggerRecord) -> MessageSource:
        """Create the message source of a trigger that has an endpoint."""

    def on_deleted(self, trigger_id: str) -> None:
        """Clean up after a deleted trigger, now or in the background."""


class Message(Protocol):
    """One message, as the broker delivered it.

    Methods wait while the broker is not reachable.
    """

    @property
    def id(self) -> str:
        """Identifies the message: the same each time the broker delivers it, and unique in the broker."""
        ...

    @property
    def body(self) -> bytes:
        """The body of the request to the function."""
        ...

    @property
    def deliveries(self) -> int:
        """How often the broker has delivered the message, including this time."""
        ...

    @property
    def attempt(self) -> int | None:
        """The number of this attempt where the broker's count is decisive (SQS).

        ``None`` if the consumer core counts failed attempts.
        """
        ...

    async def ack(self) -> None:
        """Acknowledge the message after the function handled it."""

    async def nack(self, delay: float) -> None:
        """Have the broker deliver the message again.

        Args:
            delay: Real seconds until then; 0 for at once.
        """

    async def terminate(self) -> None:
        """Remove the message after its last failed attempt. The delivery log must have stored it before."""


class MessageSource(Protocol):
    """Receives the messages of one trigger from its broker.

    Attributes:
        kind: ``nats`` or ``sqs``, for the delivery log.
        can_prefetch: Whether a message can be returned to the broker at no cost and without counting as an attempt.
            A few messages may then be requested before a delivery slot is free, as long as the function responds
            fast.
        retry_delay: Platform seconds between two attempts.
        lease_interval: Real seconds between two calls of ``extend``.
        has_redrive_policy: Whether the broker itself moves away messages that failed too often. ``terminate`` is
            then never called.
    """

    kind: str
    can_prefetch: bool
    retry_delay: float
    lease_interval: float
    has_redrive_policy: bool

    async def listen(self, prefetch: Prefetch, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled.

        Args:
            prefetch: Receives the messages.
            report: Called with a description of the connection as soon as it works, and whenever the description
                changes.

        Raises:
            BrokerError: It does not work. The caller calls the method again after a while.
        """

    async def extend(self, messages: Sequence[Message]) -> None:
        """Extend the leases of messages in flight, so that the broker does not deliver them to another consumer."""

    async def close(self) -> None:
        """Release the connection. No message is in flight any more."""


class Prefetch:
    """Passes messages from a source to free delivery slots, and buffers those that were requested ahead of demand.

    Attributes:
        on_demand: Called when ``demand`` grows. Set by the source.
        limit: Number of messages that may wait here for a busy delivery slot.
    """

    def __init__(self) -> None:
        self.on_demand: Callable[[], None] = lambda: None
        self.limit = 0
        self._free_slots: deque[asyncio.Future[Message]] = deque()
        self._buffer: deque[Message] = deque()
        self._demand_grew = asyncio.Event()

    @property
    def demand(self) -> int:
        """Number of messages that the source may request now."""
        return len(self._free_slots) - len(self._buffer) + self.limit

    @property
    def free_slots(self) -> int:
        """Number of free delivery slots."""
        return len(self._free_slots)

    def put(self, message: Message) -> None:
        """Pass a message to the delivery slot that has been free for longest; without a free one, buffer it."""
        while self._free_slots:
            getter = self._free_slots.popleft()
            if not getter.done():
                getter.set_result(message)
                return
        self._buffer.append(message)

    def put_later(self, message: Message, delay: float) -> None:
        """Put a message after a delay. For messages that no broker stores in the meantime.

        Args:
            message: The message.
            delay: Real seconds.
        """
        asyncio.get_running_loop().call_later(delay, self.put, message)

    def drain(self) -> list[Message]:
        """Remove and return the buffered messages."""
        buffered, self._buffer = list(self._buffer), deque()
        return buffered

    @property
    def buffered(self) -> list[Message]:
        """The buffered messages."""
        return list(self._buffer)

    async def get(self) -> Message:
        """Wait for the next message. The caller is a free delivery slot."""
        if self._buffer:
            message = self._buffer.popleft()
            self.on_demand()
            return message
        getter: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._free_slots.append(getter)
        getter.add_done_callback(self._on_slot_done)
        self._demand_grew.set()
        self.on_demand()
        return await getter

    async def wait_for_demand(self) -> int:
        """Wait until there is demand, and return it."""
        while self.demand <= 0:
            self._demand_grew.clear()
            await self._demand_grew.wait()
        return self.demand

    def _on_slot_done(self, getter: asyncio.Future[Message]) -> None:
        if getter.cancelled() and getter in self._free_slots:
            self._free_slots.remove(getter)
