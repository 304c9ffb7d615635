"""Subjects that no stream stores: a queue subscription, and a bounded buffer in memory.

Messages that find no free delivery slot are kept in the buffer. Nobody else has them.

When a stream begins to cover the subject, it stores messages that the subscription still receives. ``ReceivedIds``
remembers what was received, and ``Overlap`` finds the id of a message when the stream delivers its copy, so that
the consumer core recognises it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import uuid
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from fnkit.platform.control.events.queues.interface import BrokerError, Prefetch

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

_MAX_BUFFERED_MESSAGES: Final = 1000
_MAX_BUFFERED_BYTES: Final = 64 * 1024 * 1024
_MAX_REMEMBERED_IDS: Final = 10_000

_INTERNAL_PREFIXES: Final = ("$", "_INBOX.")
"""Subjects of messages between servers and clients: JetStream API, acknowledgements, advisories and replies."""
_ACK_SUBJECT_PREFIX: Final = "$JS.ACK."
"""Reply subject of messages that a consumer delivers; their own subject is the original one."""

_logger = logging.getLogger(__name__)


class _Received(NamedTuple):
    number: int
    digest: bytes
    id: str


class ReceivedIds:
    """The ids of the messages that a subscription received lately, at most 10,000.

    Attributes:
        count: Number of messages received so far, including those that were forgotten.
    """

    def __init__(self) -> None:
        self._received: deque[_Received] = deque(maxlen=_MAX_REMEMBERED_IDS)
        self.count = 0

    def add(self, subject: str, body: bytes) -> str:
        """Return a new id for a received message, and remember it."""
        message_id = str(uuid.uuid4())
        self._received.append(_Received(self.count, _digest(subject, body), message_id))
        self.count += 1
        return message_id

    def forget_first(self, count: int) -> None:
        """Forget the first ``count`` messages that were ever received: no stream stored them."""
        while self._received and self._received[0].number < count:
            self._received.popleft()

    def overlap(self, stored_from: int, read_at: int, sequences: tuple[int, int]) -> Overlap:
        """Return the messages that the subscription and a stream may both have; see ``Overlap``."""
        return Overlap(self._received, stored_from, read_at, sequences)


class Overlap:
    """Messages that the subscription received and that a stream may have stored as well.

    The subscription does not learn a message's sequence, so copies are matched by subject and body, each received
    message at most once. Where equal bodies leave a doubt, there is no match: a message is delivered twice rather
    than lost.
    """

    def __init__(
        self, received: Iterable[_Received], stored_from: int, read_at: int, sequences: tuple[int, int]
    ) -> None:
        """Create the overlap.

        Args:
            received: The messages that the subscription received, in order.
            stored_from: Number of the first message of which it is certain that the stream stored it.
            read_at: Number of the first message that was received after the first sequence was read.
            sequences: The stream's last sequence, read before and after the subscription ended. The subscription
                received everything up to the first, and nothing after the second.
        """
        self._earlier: dict[bytes, list[_Received]] = {}
        self._later: dict[bytes, list[_Received]] = {}
        for message in received:
            part = self._earlier if message.number < read_at else self._later
            part.setdefault(message.digest, []).append(message)
        self._stored_from = stored_from
        self._last_received, self._last = sequences
        self._matched: dict[int, str] = {}

    def find(self, sequence: int, subject: str, body: bytes) -> str | None:
        """Return the id of the received message of which this stream message is a copy; ``None`` if there is none.

        Args:
            sequence: Sequence in the stream. If it is delivered again, the returned id is the same.
            subject: The subject it was published on.
            body: Its body.
        """
        if sequence <= self._last and sequence not in self._matched:
            message = self._pop_match(_digest(subject, body), was_received=sequence <= self._last_received)
            if message is not None:
                self._matched[sequence] = message.id
        return self._matched.get(sequence)

    def _pop_match(self, digest: bytes, *, was_received: bool) -> _Received | None:
        # The latest first. What is left of the messages that were certainly stored was then stored after the first
        # sequence was read; a message from before the stream is never taken for a later one with an equal body.
        earlier, later = self._earlier.get(digest), self._later.get(digest)
        if was_received:
            return earlier.pop() if earlier else None
        if later:
            return later.pop()
        return earlier.pop() if earlier and earlier[-1].number >= self._stored_from else None


def _digest(subject: str, body: bytes) -> bytes:
    digest = hashlib.blake2b(subject.encode(), digest_size=16)
    digest.update(b" ")  # no subject contains a space
    digest.update(body)
    return digest.digest()


class CoreSubscription:
    """A queue subscription of one session.

    A pattern such as ``>`` also matches messages between servers and clients, which are ignored.

    Attributes:
        received: The ids of the messages that it received.
    """

    def __init__(self, client: Client, subject: str, group: str, buffer: BoundedBuffer) -> None:
        self._client = client
        self._subject = subject
        self._group = group
        self._buffer = buffer
        self.received = ReceivedIds()
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
        self._buffer.put(self.received.add(message.subject, message.data), message.data)


class BoundedBuffer:
    """A bounded buffer of received messages. It lives as long as its source, across reconnects."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._messages: deque[tuple[str, bytes]] = deque()
        self._total_bytes = 0
        self._dropped = 0
        self._not_empty = asyncio.Event()

    def put(self, message_id: str, body: bytes) -> None:
        """Add a message, or drop it if the buffer is full."""
        if len(self._messages) >= _MAX_BUFFERED_MESSAGES or (
            self._messages and self._total_bytes + len(body) > _MAX_BUFFERED_BYTES
        ):
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8 …
                _logger.warning("The buffer is full: %d messages on %s were dropped.", self._dropped, self._subject)
            return
        self._total_bytes += len(body)
        self._messages.append((message_id, body))
        self._not_empty.set()

    async def forward_to(self, prefetch: Prefetch) -> None:
        """Move messages into the prefetch buffer when there is demand, until cancelled."""
        while True:
            while not self._messages:
                self._not_empty.clear()
                await self._not_empty.wait()
            await prefetch.wait_for_demand()
            message_id, body = self._messages.popleft()
            self._total_bytes -= len(body)
            prefetch.put(CoreMessage(prefetch, message_id, body))


class CoreMessage:
    """A message that no broker stores; it exists only in this process."""

    __slots__ = ("_prefetch", "body", "deliveries", "id")

    attempt: None = None

    def __init__(self, prefetch: Prefetch, message_id: str, body: bytes, deliveries: int = 1) -> None:
        self._prefetch = prefetch
        self.id = message_id
        self.body = body
        self.deliveries = deliveries

    async def ack(self) -> None:
        """Do nothing: nobody waits for an acknowledgement."""

    async def nack(self, delay: float) -> None:
        """Put the message again after a delay."""
        again = CoreMessage(self._prefetch, self.id, self.body, self.deliveries + 1)
        asyncio.get_running_loop().call_later(delay, self._prefetch.put, again)

    async def terminate(self) -> None:
        """Do nothing: no broker stores the message."""
