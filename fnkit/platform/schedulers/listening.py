"""What the common part asks of a kind of broker, and what that kind gets from it: the seam between the two.

A ``Listener`` is one trigger's ear at its broker. It runs ``listen`` until it is cancelled: it asks the broker for
as many messages as the ``Intake`` wants, no more, and offers each as a ``Message``. Everything else is the common
part's (``subscription``): who calls the function, how often, when again, what is logged, what happens when the
gateway, the function or this process is not there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["BrokerTrouble", "Fate", "Intake", "Listener", "Message"]


class BrokerTrouble(Exception):
    """The broker refuses, cannot be reached, or lacks what is listened to. Its text is shown: no secrets in it."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a message, as far as its broker can tell: a delivery's status, and why that is said."""

    status: str
    words: str


class Message(Protocol):
    """One message as the broker handed it out. Its methods wait for the broker to be there again where it is not.

    id: the same whenever this message is handed out, different for every other one that the broker ever has.
    deliveries: how often it was handed out, this time included. attempt: which of the four attempts this is where
    the broker's count is what counts (SQS); ``None``: failed attempts are counted by the common part.
    """

    @property
    def id(self) -> str:
        """See the class."""
        ...

    @property
    def body(self) -> bytes:
        """What is POSTed, as it is."""
        ...

    @property
    def deliveries(self) -> int:
        """See the class."""
        ...

    @property
    def attempt(self) -> int | None:
        """See the class."""
        ...

    async def done(self) -> None:
        """The function took it: acknowledge, delete."""

    async def again(self, seconds: float) -> None:
        """Hand it out again in so many real seconds; 0: at once."""

    async def bury(self) -> None:
        """Forget it: it failed for good, and the delivery log has it on disk."""


class Listener(Protocol):
    """One trigger's ear at its broker.

    kind: ``nats`` or ``sqs``, for the delivery log. spacing: platform seconds between two attempts. keep_every:
    real seconds between two calls of ``keep``. redrives: the broker itself moves away what failed for good, so
    that ``bury`` is never called. pulls_ahead: handing a message back costs nothing, not an attempt either, so
    that a few may be asked for before a hand is free, as long as hands are quick.
    """

    kind: str
    pulls_ahead: bool
    spacing: float
    keep_every: float
    redrives: bool

    async def listen(self, intake: Intake, say: Callable[[str], None]) -> None:
        """Offer messages until cancelled; ``say`` how, as soon as it works and whenever that changes.

        Raises:
            BrokerTrouble: it does not work. It is called again a little later.
        """

    async def keep(self, messages: Sequence[Message]) -> None:
        """Those are still held: the broker must not hand them out to anybody else."""

    async def fates(self, since: Mapping[str, float]) -> Mapping[str, Fate]:
        """Return what became of messages that are not held here, and whose delivery has no end.

        Left out are those that may still be handed out. since: the event loop's time from which nobody held it, by
        the message's id.

        Raises:
            BrokerTrouble: the broker cannot be asked now.
        """

    async def close(self) -> None:
        """Nobody listens here any more, and nothing that was heard here is held."""


class Intake:
    """Hands that are free, and messages for them. ``wanted``: how many messages a listener may ask the broker for.

    ``on_wanted`` is called when it grows. ``ahead``: how many may wait here for a hand that is busy.
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
        """How many hands are free, or soon will be."""
        return len(self._hands) - len(self._waiting) + self.ahead

    @property
    def idle(self) -> int:
        """How many hands are free now."""
        return len(self._hands)

    def offer(self, message: Message) -> None:
        """Give a message to the hand that is free for the longest time; without one it waits for the next."""
        while self._hands:
            hand = self._hands.popleft()
            if not hand.done():
                hand.set_result(message)
                return
        self._waiting.append(message)

    def offer_later(self, message: Message, seconds: float) -> None:
        """Offer a message that nobody else keeps in so many real seconds."""
        self._coming.add(message.id)
        asyncio.get_running_loop().call_later(seconds, self._came, message)

    def has(self, message_id: str) -> bool:
        """Whether that message is on its way to a hand."""
        return message_id in self._coming or any(one.id == message_id for one in self._waiting)

    def give_up(self) -> list[Message]:
        """Return what waits, and wait with it no longer."""
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    @property
    def waiting(self) -> list[Message]:
        """What was offered and has found no hand yet."""
        return list(self._waiting)

    async def next(self) -> Message:
        """Be a free hand: return the next message."""
        if self._waiting:
            message = self._waiting.popleft()
            self.on_wanted()
            return message
        hand: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._hands.append(hand)
        hand.add_done_callback(self._let_go)
        self._grew.set()
        self.on_wanted()
        return await hand

    async def hungry(self) -> int:
        """Return ``wanted`` as soon as it is more than none."""
        while self.wanted <= 0:
            self._grew.clear()
            await self._grew.wait()
        return self.wanted

    def _came(self, message: Message) -> None:
        self._coming.discard(message.id)
        self.offer(message)

    def _let_go(self, hand: asyncio.Future[Message]) -> None:
        if hand.cancelled() and hand in self._hands:
            self._hands.remove(hand)
