"""Subjects that no stream stores, messages of NATS, and matching of subjects.

A subject without a stream is consumed through a queue subscription. Messages that find no free delivery slot are
kept in a bounded buffer in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fnkit.platform.control.events.queues.interface import BrokerError, Prefetch
from fnkit.platform.control.events.queues.nats.connection import NatsConnection

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

__all__ = ["BoundedBuffer", "CoreMessage", "CoreSubscription", "StreamMessage", "subject_matches"]

_TOKENS_WITH_DOMAIN: Final = 11
_NANOSECONDS_PER_SECOND: Final = 10**9

_MAX_BUFFERED_MESSAGES: Final = 1000
_MAX_BUFFERED_BYTES: Final = 64 * 1024 * 1024
_INTERNAL_PREFIXES: Final = ("$", "_INBOX.")
"""Subjects of messages between servers and clients: JetStream API, acknowledgements, advisories and replies."""
_ACK_SUBJECT_PREFIX: Final = (
    "$JS.ACK."  # reply subject of messages that a consumer delivers; their own subject is the original one
)
_logger = logging.getLogger(__name__)


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


def subject_matches(patterns: Iterable[str], subject: str) -> bool:
    """Return whether one of the patterns matches every subject that ``subject``, which may be a pattern, matches.

    >>> subject_matches(["orders.>"], "orders.*.paid"), subject_matches(["orders.*"], "orders.>")
    (True, False)
    """
    return any(_matches(pattern.split("."), subject.split(".")) for pattern in patterns)


def _matches(pattern: list[str], subject: list[str]) -> bool:
    for position, part in enumerate(pattern):
        if part == ">":
            return len(subject) > position
        if position >= len(subject) or subject[position] == ">":
            return False
        if part not in ("*", subject[position]):
            return False
    return len(pattern) == len(subject)


class BoundedBuffer:
    """A bounded buffer of received messages. It lives as long as its source, across reconnects."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._bodies: deque[bytes] = deque()
        self._total_bytes = 0
        self._dropped = 0
        self._not_empty = asyncio.Event()

    def put(self, body: bytes) -> None:
        """Add a message, or drop it if the buffer is full."""
        if len(self._bodies) >= _MAX_BUFFERED_MESSAGES or (
            self._bodies and self._total_bytes + len(body) > _MAX_BUFFERED_BYTES
        ):
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8 …
                _logger.warning("The buffer is full: %d messages on %s were dropped.", self._dropped, self._subject)
            return
        self._total_bytes += len(body)
        self._bodies.append(body)
        self._not_empty.set()

    async def forward_to(self, prefetch: Prefetch) -> None:
        """Move messages into the prefetch buffer when there is demand, until cancelled."""
        while True:
            while not self._bodies:
                self._not_empty.clear()
                await self._not_empty.wait()
            await prefetch.wait_for_demand()
            body = self._bodies.popleft()
            self._total_bytes -= len(body)
            prefetch.put(CoreMessage(prefetch, body))


class CoreSubscription:
    """A queue subscription of one session.

    A pattern such as ``>`` also matches messages between servers and clients, which are ignored.
    """

    def __init__(self, client: Client, subject: str, group: str, buffer: BoundedBuffer) -> None:
        self._client = client
        self._subject = subject
        self._group = group
        self._buffer = buffer
        self._matches_internal_subjects = subject.partition(".")[0] in ("*", ">")
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Subscribe.

        Raises:
            BrokerError: The broker rejects the subscription.
        """
        from nats.errors import Error

        try:
            self._subscription = await self._client.subscribe(self._subject, queue=self._group, cb=self._on_message)
            await self._client.flush()
        except (Error, TimeoutError) as error:
            raise BrokerError(f"NATS: {error}") from None

    async def drain(self) -> None:
        """Unsubscribe, after the messages under way have arrived.

        Raises:
            BrokerError: The connection broke.
        """
        from nats.errors import Error

        if self._subscription is not None:
            try:
                await self._subscription.drain()  # type: ignore[no-untyped-call]  # not annotated by nats-py
            except (Error, TimeoutError) as error:
                raise BrokerError(f"NATS: {error}") from None
            self._subscription = None

    async def stop(self) -> None:
        """Unsubscribe at once. Does nothing if the subscription was drained or the session is over."""
        from nats.errors import Error

        if self._subscription is not None and not self._client.is_closed:
            with contextlib.suppress(Error):
                await self._subscription.unsubscribe()

    async def _on_message(self, message: Msg) -> None:
        if self._matches_internal_subjects and (
            message.subject.startswith(_INTERNAL_PREFIXES) or message.reply.startswith(_ACK_SUBJECT_PREFIX)
        ):
            return
        self._buffer.put(message.data)
