"""The interface between the consumer core and the message sources of the kinds of brokers.

A ``MessageSource`` receives the messages of one trigger from its broker. Its ``listen`` runs until it is cancelled,
requests as many messages as ``Prefetch.demand`` says, and puts each into the ``Prefetch`` as a ``Message``.
Everything else is common to all kinds and done by ``QueueConsumer``: calling the function, concurrency, retries,
the delivery log, and handling of failures of the gateway, the function and this process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["BrokerTrouble", "Fate", "Intake", "Listener", "Message"]


class BrokerTrouble(Exception):
    """The broker refuses a request, cannot be reached, or has no such queue.

    The message is shown to users and must not contain secrets.
    """


@dataclass(frozen=True, slots=True)
class Fate:
    """What the broker tells about the outcome of a message.

    Attributes:
        status: Status of the delivery (``DeliveryStatus``).
        reason: How that is known.
    """

    status: str
    words: str


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

    async def done(self) -> None:
        """Acknowledge the message after the function handled it."""

    async def again(self, delay: float) -> None:
        """Have the broker deliver the message again.

        Args:
            delay: Real seconds until then; 0 for at once.
        """

    async def bury(self) -> None:
        """Remove the message after its last failed attempt. The delivery log must have stored it before."""


class Listener(Protocol):
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
    pulls_ahead: bool
    spacing: float
    keep_every: float
    redrives: bool

    async def listen(self, prefetch: Intake, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled.

        Args:
            prefetch: Receives the messages.
            report: Called with a description of the connection as soon as it works, and whenever the description
                changes.

        Raises:
            BrokerError: It does not work. The caller calls the method again after a while.
        """

    async def keep(self, messages: Sequence[Message]) -> None:
        """Extend the leases of messages in flight, so that the broker does not deliver them to another consumer."""

    async def fates(self, unheld_since: Mapping[str, float]) -> Mapping[str, Fate]:
        """Look up the outcomes of pending deliveries whose messages this process does not hold.

        Args:
            unheld_since: The time of the event loop since which nobody holds the message, by message id.

        Returns:
            The known outcomes, by message id. Messages that the broker may still deliver are missing.

        Raises:
            BrokerError: The broker cannot be asked now.
        """

    async def close(self) -> None:
        """Release the connection. No message is in flight any more."""


class Intake:
    """Passes messages from a source to free delivery slots, and buffers those that were requested ahead of demand.

    Attributes:
        on_demand: Called when ``demand`` grows. Set by the source.
        limit: Number of messages that may wait here for a busy delivery slot.
    """

    def __init__(self) -> None:
        self.on_wanted: Callable[[], None] = lambda: None
        self.ahead = 0
        self._hands: deque[asyncio.Future[Message]] = deque()
        self._waiting: deque[Message] = deque()
        self._coming: set[str] = set()
        self._grew = asyncio.Event()

    @property
    def wanted(self) -> int:
        """Number of messages that the source may request now."""
        return len(self._hands) - len(self._waiting) + self.ahead

    @property
    def idle(self) -> int:
        """Number of free delivery slots."""
        return len(self._hands)

    def offer(self, message: Message) -> None:
        """Pass a message to the delivery slot that has been free for longest; without a free one, buffer it."""
        while self._hands:
            getter = self._hands.popleft()
            if not getter.done():
                getter.set_result(message)
                return
        self._waiting.append(message)

    def offer_later(self, message: Message, delay: float) -> None:
        """Put a message after a delay. For messages that no broker stores in the meantime.

        Args:
            message: The message.
            delay: Real seconds.
        """
        self._coming.add(message.id)
        asyncio.get_running_loop().call_later(delay, self._came, message)

    def has(self, message_id: str) -> bool:
        """Whether a message is buffered or put later."""
        return message_id in self._coming or any(one.id == message_id for one in self._waiting)

    def give_up(self) -> list[Message]:
        """Remove and return the buffered messages."""
        buffered, self._waiting = list(self._waiting), deque()
        return buffered

    @property
    def waiting(self) -> list[Message]:
        """The buffered messages."""
        return list(self._waiting)

    async def next(self) -> Message:
        """Wait for the next message. The caller is a free delivery slot."""
        if self._waiting:
            message = self._waiting.popleft()
            self.on_wanted()
            return message
        getter: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._hands.append(getter)
        getter.add_done_callback(self._let_go)
        self._grew.set()
        self.on_wanted()
        return await getter

    async def hungry(self) -> int:
        """Wait until there is demand, and return it."""
        while self.wanted <= 0:
            self._grew.clear()
            await self._grew.wait()
        return self.wanted

    def _came(self, message: Message) -> None:
        self._coming.discard(message.id)
        self.offer(message)

    def _let_go(self, getter: asyncio.Future[Message]) -> None:
        if getter.cancelled() and getter in self._hands:
            self._hands.remove(getter)
