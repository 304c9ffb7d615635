"""Subjects that no stream stores, messages of NATS, and matching of subjects.

A subject without a stream is consumed through a queue subscription. Messages that find no free delivery slot are
kept in a bounded buffer in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from fnkit.platform.schedulers.listening import BrokerError, Prefetch
from fnkit.platform.schedulers.nats_messages import CoreMessage

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

__all__ = ["CoreSubscription", "BoundedBuffer"]

_MAX_BUFFERED_MESSAGES: Final = 1000
_MAX_BUFFERED_BYTES: Final = 64 * 1024 * 1024
_INTERNAL_PREFIXES: Final = ("$", "_INBOX.")
"""Subjects of messages between servers and clients: JetStream API, acknowledgements, advisories and replies."""
_ACK_SUBJECT_PREFIX: Final = (
    "$JS.ACK."  # reply subject of messages that a consumer delivers; their own subject is the original one
)
_logger = logging.getLogger(__name__)


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
        self._paused_messages: list[bytes] | None = None
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

    def pause(self) -> None:
        """Keep messages that arrive from now on for ``drain``."""
        self._paused_messages = []

    async def drain(self) -> list[bytes]:
        """Unsubscribe, after the messages under way have arrived.

        Returns:
            The messages that arrived since ``pause``.

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
        held_back, self._paused_messages = self._paused_messages or [], None
        return held_back

    async def stop(self) -> None:
        """Unsubscribe. Messages that arrived since ``pause`` are moved to the buffer."""
        from nats.errors import Error

        if self._subscription is not None and not self._client.is_closed:
            with contextlib.suppress(Error):
                await self._subscription.unsubscribe()
        for body in self._paused_messages or ():
            self._buffer.put(body)
        self._paused_messages = None

    async def _on_message(self, message: Msg) -> None:
        if self._matches_internal_subjects and (
            message.subject.startswith(_INTERNAL_PREFIXES) or message.reply.startswith(_ACK_SUBJECT_PREFIX)
        ):
            return
        if self._paused_messages is None:
            self._buffer.put(message.data)
        else:
            self._paused_messages.append(message.data)
