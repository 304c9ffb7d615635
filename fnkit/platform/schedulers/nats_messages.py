"""Messages of NATS as the common part handles them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from fnkit.platform.schedulers.listening import Intake
from fnkit.platform.schedulers.nats_connection import NatsConnection

if TYPE_CHECKING:
    from nats.aio.msg import Msg

__all__ = ["CoreMessage", "StreamMessage"]

_WITH_DOMAIN: Final = 11
_NANOSECONDS: Final = 10**9


class StreamMessage:
    """One from a JetStream consumer. Its reply subject says what it is and takes its acknowledgement.

    ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<timestamp>.<pending>``, with
    ``<domain>.<account hash>`` after ``ACK`` in the newer form.
    """

    __slots__ = ("_connection", "_reply", "body", "deliveries", "id", "sequence")

    attempt: None = None  # counted by the common part: a delivery that nobody answered is none

    def __init__(self, connection: NatsConnection, message: Msg) -> None:
        self._connection = connection
        self._reply = message.reply
        self.body = message.data
        words = message.reply.split(".")
        first = 4 if len(words) >= _WITH_DOMAIN else 2
        stream, _, delivered, sequence, _, moment = words[first : first + 6]
        self.deliveries = int(delivered)
        self.sequence = int(sequence)
        self.id = f"{stream}:{sequence}:{moment}"  # a stream that was made anew counts from 1 again

    async def done(self) -> None:
        """Acknowledge."""
        self._connection.say(self._reply, b"+ACK")

    async def again(self, seconds: float) -> None:
        """Have it delivered again."""
        delay = b'{"delay": %d}' % int(seconds * _NANOSECONDS) if seconds > 0 else b""
        self._connection.say(self._reply, b"-NAK " + delay if delay else b"-NAK")

    async def bury(self) -> None:
        """Have it forgotten."""
        self._connection.say(self._reply, b"+TERM")

    async def keep(self) -> None:
        """Say that it is still held."""
        self._connection.say(self._reply, b"+WPI")


class CoreMessage:
    """One that no broker keeps: what happens to it happens in this process."""

    __slots__ = ("_intake", "body", "deliveries", "id")

    attempt: None = None

    def __init__(self, intake: Intake, body: bytes, message_id: str = "", deliveries: int = 1) -> None:
        self._intake = intake
        self.body = body
        self.id = message_id or str(uuid.uuid4())
        self.deliveries = deliveries

    async def done(self) -> None:
        """Nobody waits for it."""

    async def again(self, seconds: float) -> None:
        """Offer it again."""
        self._intake.offer_later(CoreMessage(self._intake, self.body, self.id, self.deliveries + 1), seconds)

    async def bury(self) -> None:
        """Nobody has it."""
