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

from fnkit.platform.schedulers.listening import BrokerTrouble, Intake
from fnkit.platform.schedulers.nats_messages import CoreMessage

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

__all__ = ["CoreSubscription", "Heard"]

_WAITING: Final = 1000
_WAITING_BYTES: Final = 64 * 1024 * 1024
_INTERNAL: Final = ("$", "_INBOX.")
"""Subjects of messages between servers and clients: JetStream API, acknowledgements, advisories and replies."""
_HANDED_OUT: Final = (
    "$JS.ACK."  # reply subject of messages that a consumer delivers; their own subject is the original one
)
_logger = logging.getLogger(__name__)


class Heard:
    """A bounded buffer of received messages. It lives as long as its source, across reconnects."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._bodies: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._more = asyncio.Event()

    def put(self, body: bytes) -> None:
        """Add a message, or drop it if the buffer is full."""
        if len(self._bodies) >= _WAITING or (self._bodies and self._size + len(body) > _WAITING_BYTES):
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8 …
                _logger.warning("The buffer is full: %d messages on %s were dropped.", self._dropped, self._subject)
            return
        self._size += len(body)
        self._bodies.append(body)
        self._more.set()

    async def hand_over(self, prefetch: Intake) -> None:
        """Move messages into the prefetch buffer when there is demand, until cancelled."""
        while True:
            while not self._bodies:
                self._more.clear()
                await self._more.wait()
            await prefetch.hungry()
            body = self._bodies.popleft()
            self._size -= len(body)
            prefetch.offer(CoreMessage(prefetch, body))


class CoreSubscription:
    """A queue subscription of one session.

    A pattern such as ``>`` also matches messages between servers and clients, which are ignored.
    """

    def __init__(self, client: Client, subject: str, group: str, heard: Heard) -> None:
        self._client = client
        self._subject = subject
        self._group = group
        self._heard = heard
        self._hears_everything = subject.partition(".")[0] in ("*", ">")
        self._held_back: list[bytes] | None = None
        self._subscription: Subscription | None = None

    async def begin(self) -> None:
        """Subscribe.

        Raises:
            BrokerError: The broker rejects the subscription.
        """
        from nats.errors import Error

        try:
            self._subscription = await self._client.subscribe(self._subject, queue=self._group, cb=self._on_message)
            await self._client.flush()
        except (Error, TimeoutError) as error:
            raise BrokerTrouble(f"NATS: {error}") from None

    def hold_back(self) -> None:
        """Keep messages that arrive from now on for ``drain``."""
        self._held_back = []

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
                raise BrokerTrouble(f"NATS: {error}") from None
            self._subscription = None
        held_back, self._held_back = self._held_back or [], None
        return held_back

    async def end(self) -> None:
        """Unsubscribe. Messages that arrived since ``pause`` are moved to the buffer."""
        from nats.errors import Error

        if self._subscription is not None and not self._client.is_closed:
            with contextlib.suppress(Error):
                await self._subscription.unsubscribe()
        for body in self._held_back or ():
            self._heard.put(body)
        self._held_back = None

    async def _on_message(self, message: Msg) -> None:
        if self._hears_everything and (
            message.subject.startswith(_INTERNAL) or message.reply.startswith(_HANDED_OUT)
        ):
            return
        if self._held_back is None:
            self._heard.put(message.data)
        else:
            self._held_back.append(message.data)
