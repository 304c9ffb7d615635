"""A subject that no stream keeps: a queue subscription. What nobody can take at the moment waits here, bounded."""

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
"""What brokers and their clients say to each other: JetStream's requests, acknowledgements, advisories, replies."""
_HANDED_OUT: Final = "$JS.ACK."  # where a consumer's messages, under their own subject, are acknowledged
_logger = logging.getLogger(__name__)


class Heard:
    """What was heard and has found no hand yet: for as long as this process lives, whatever the connection does."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._bodies: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._more = asyncio.Event()

    def put(self, body: bytes) -> None:
        """Keep it, where there is room."""
        if len(self._bodies) >= _WAITING or (self._bodies and self._size + len(body) > _WAITING_BYTES):
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8 …
                _logger.warning("%d messages on %s found no room and are lost.", self._dropped, self._subject)
            return
        self._size += len(body)
        self._bodies.append(body)
        self._more.set()

    async def hand_over(self, intake: Intake) -> None:
        """Offer what is kept until cancelled."""
        while True:
            while not self._bodies:
                self._more.clear()
                await self._more.wait()
            await intake.hungry()
            body = self._bodies.popleft()
            self._size -= len(body)
            intake.offer(CoreMessage(intake, body))


class CoreSubscription:
    """One connection's ear. A pattern such as ``>`` hears what brokers say to each other too: that is left out."""

    def __init__(self, client: Client, subject: str, group: str, heard: Heard) -> None:
        self._client = client
        self._subject = subject
        self._group = group
        self._heard = heard
        self._hears_everything = subject.partition(".")[0] in ("*", ">")
        self._held_back: list[bytes] | None = None
        self._subscription: Subscription | None = None

    async def begin(self) -> None:
        """Begin to hear.

        Raises:
            BrokerTrouble: the broker refuses.
        """
        from nats.errors import Error

        try:
            self._subscription = await self._client.subscribe(self._subject, queue=self._group, cb=self._on_message)
            await self._client.flush()
        except (Error, TimeoutError) as error:
            raise BrokerTrouble(f"NATS: {error}") from None

    def hold_back(self) -> None:
        """Keep what is heard from now on for ``drain``."""
        self._held_back = []

    async def drain(self) -> list[bytes]:
        """Hear nothing more; returns what was held back.

        Raises:
            BrokerTrouble: the connection broke.
        """
        from nats.errors import Error

        if self._subscription is not None:
            try:
                await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py annotates this one not
            except (Error, TimeoutError) as error:
                raise BrokerTrouble(f"NATS: {error}") from None
            self._subscription = None
        held_back, self._held_back = self._held_back or [], None
        return held_back

    async def end(self) -> None:
        """Hear nothing more. What was held back is not lost."""
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
