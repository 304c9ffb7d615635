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
from importlib.util import find_spec
from typing import Protocol

from fnkit.contract.deliveries import SentMessage
from fnkit.contract.distribution import extra_install_hint
from fnkit.platform.model.records import TriggerRecord


class BrokerError(Exception):
    """The broker refuses a request, cannot be reached, or has no such queue.

    The message is shown to users and must not contain secrets.
    """


def missing_extra(kind: str, package: str) -> str:
    """Return why a kind of broker cannot be used, or ``""`` if its package is installed (extra ``queues``)."""
    if find_spec(package) is not None:
        return ""
    return f"{kind} needs the extra queues: {extra_install_hint('queues')}, then start the platform again"


class BrokerBackend(Protocol):
    """A kind of broker: where its triggers are consumed, and how."""

    def endpoint(self, record: TriggerRecord) -> Hashable | str:
        """Return where the trigger's messages come from, or the reason why it has no source.

        The trigger gets a new source whenever the returned value changes.
        """

    def create_source(self, record: TriggerRecord) -> MessageSource:
        """Create the message source of a trigger that has an endpoint."""

    async def send(self, record: TriggerRecord, body: bytes, subject: str | None) -> SentMessage:
        """Send a message to where the trigger receives from. The trigger has an endpoint.

        Args:
            record: The trigger.
            body: The message.
            subject: The NATS subject, if it is not that of the trigger.

        Raises:
            BrokerError: The broker cannot be reached, or does not take the message.
            ControlError: 400: the message or subject is invalid.
        """


class Message(Protocol):
    """One message, as the broker delivered it.

    Methods wait while the broker is not reachable.

    Attributes:
        id: Identifies the message: the same each time the broker delivers it, and unique in the broker.
        body: The body of the request to the function.
        deliveries: How often the broker has delivered the message, including this time.
    """

    id: str
    body: bytes
    deliveries: int

    @property
    def attempt(self) -> int | None:
        """The number of this attempt where the broker's count is decisive (SQS).

        ``None`` if the consumer core counts failed attempts.
        """

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
