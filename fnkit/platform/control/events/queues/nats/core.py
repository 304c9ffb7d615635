"""Subjects that no stream stores: a queue subscription, and a bounded buffer in memory.

Messages that find no free delivery slot are kept in the buffer. Nobody else has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

from fnkit.platform.control.events.queues.interface import BrokerError, Prefetch

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

__all__ = ["BoundedBuffer", "CoreMessage", "CoreSubscription"]

_MAX_BUFFERED_MESSAGES: Final = 1000
_MAX_BUFFERED_BYTES: Final = 64 * 1024 * 1024

_INTERNAL_PREFIXES: Final = ("$", "_INBOX.")
"""Subjects of messages between servers and clients: JetStream API, acknowledgements, advisories and replies."""
_ACK_SUBJECT_PREFIX: Final = "$JS.ACK."
"""Reply subject of messages that a consumer delivers; their own subject is the original one."""

_logger = logging.getLogger(__name__)


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
