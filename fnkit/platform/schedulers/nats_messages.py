"""Messages of NATS."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from fnkit.platform.schedulers.listening import Prefetch
from fnkit.platform.schedulers.nats_connection import NatsConnection

if TYPE_CHECKING:
    from nats.aio.msg import Msg

__all__ = ["CoreMessage", "StreamMessage"]

_TOKENS_WITH_DOMAIN: Final = 11
_NANOSECONDS_PER_SECOND: Final = 10**9


class StreamMessage:
    """A message of a JetStream consumer. Its reply subject contains its metadata and receives its acknowledgement.

    The subject is ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer
    sequence>.<timestamp>.<pending>``; the newer form has ``<domain>.<account hash>`` after ``ACK``.
    """

    __slots__ = ("_connection", "_reply_subject", "body", "deliveries", "id", "sequence")

    # The broker counts deliveries, including those without a response; the consumer core counts attempts.
    attempt: None = None

    def __init__(self, connection: NatsConnection, message: Msg) -> None:
        self._connection = connection
        self._reply_subject = message.reply
        self.body = message.data
        tokens = message.reply.split(".")
        first = 4 if len(tokens) >= _TOKENS_WITH_DOMAIN else 2
        stream, _, delivered, sequence, _, timestamp = tokens[first : first + 6]
        self.deliveries = int(delivered)
        self.sequence = int(sequence)
        # The timestamp distinguishes streams of one name: a stream that was created again restarts at sequence 1.
        self.id = f"{stream}:{sequence}:{timestamp}"

    async def ack(self) -> None:
        """Acknowledge the message."""
        self._connection.publish(self._reply_subject, b"+ACK")

    async def nack(self, delay: float) -> None:
        """Have the broker deliver the message again after a delay."""
        arguments = b'{"delay": %d}' % int(delay * _NANOSECONDS_PER_SECOND) if delay > 0 else b""
        self._connection.publish(self._reply_subject, b"-NAK " + arguments if arguments else b"-NAK")

    async def terminate(self) -> None:
        """Tell the broker not to deliver the message again."""
        self._connection.publish(self._reply_subject, b"+TERM")

    async def extend(self) -> None:
        """Restart the acknowledgement timeout."""
        self._connection.publish(self._reply_subject, b"+WPI")


class CoreMessage:
    """A message that no broker stores; it exists only in this process."""

    __slots__ = ("_prefetch", "body", "deliveries", "id")

    attempt: None = None

    def __init__(self, prefetch: Prefetch, body: bytes, message_id: str = "", deliveries: int = 1) -> None:
        self._prefetch = prefetch
        self.body = body
        self.id = message_id or str(uuid.uuid4())
        self.deliveries = deliveries

    async def ack(self) -> None:
        """Do nothing: nobody waits for an acknowledgement."""

    async def nack(self, delay: float) -> None:
        """Put the message again after a delay."""
        self._prefetch.put_later(CoreMessage(self._prefetch, self.body, self.id, self.deliveries + 1), delay)

    async def terminate(self) -> None:
        """Do nothing: no broker stores the message."""
