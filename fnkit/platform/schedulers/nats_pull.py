"""Pulls messages from a durable consumer.

A pull request states a number of messages and an expiry. When it ends early, the broker reports how many were not
delivered (``Nats-Pending-Messages``). While a request is open, the broker sends a message or a heartbeat at least
every five seconds. Silence means that the broker lost the request, and the consumer starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from fnkit.platform.schedulers.listening import BrokerTrouble, Intake
from fnkit.platform.schedulers.nats_connection import NatsConnection
from fnkit.platform.schedulers.nats_messages import StreamMessage

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["Pull"]

_STANDS: Final = 30 * 10**9  # nanoseconds, as in the API of JetStream
_HEARTBEAT: Final = 5 * 10**9
_SILENCE_SECONDS: Final = 12.0
_BATCH: Final = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}'
_HEARTBEAT_STATUS: Final = "100"
_OVER: Final = frozenset({"408", "409"})  # expired; ended by a change of the consumer or of its leader


class Pull:
    """The messages of one consumer in one session."""

    def __init__(
        self,
        connection: NatsConnection,
        client: Client,
        stream: str,
        consumer: str,
        prefetch: Intake,
        *,
        ack_floor: int = 0,
    ) -> None:
        """Create the consumer; ``run`` pulls messages.

        Args:
            connection: Publishes acknowledgements.
            client: The session.
            stream: Name of the stream.
            consumer: Name of the durable consumer.
            prefetch: Receives the messages.
            ack_floor: Messages up to this sequence are acknowledged without being delivered. A consumer of a
                work-queue stream cannot begin at a sequence, and delivers handled messages after it was recreated.
        """
        self._connection = connection
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._intake = prefetch
        self._taken_up_to = ack_floor
        self._asked = 0
        self._wanted = asyncio.Event()
        self._is_over = False
        self._heard = 0.0

    async def run(self) -> None:
        """Receive messages until cancelled. Return if the consumer no longer exists or the broker is silent.

        Raises:
            BrokerError: The connection broke.
        """
        from nats.errors import Error

        inbox = self._client.new_inbox()
        self._intake.on_wanted = self._look
        self._wanted.set()
        try:
            subscription = await self._client.subscribe(inbox, cb=self._on_message)
            try:
                await self._ask(inbox)
            finally:
                self._intake.on_wanted = lambda: None
                with contextlib.suppress(Error):
                    await subscription.unsubscribe()
        except Error as error:
            raise BrokerTrouble(f"NATS: {error}") from None

    async def _ask(self, inbox: str) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        watch = asyncio.ensure_future(self._watch())
        try:
            while not self._is_over:
                self._wanted.clear()
                if more := self._more():
                    if self._asked == 0:
                        self._heard = loop.time()
                    self._asked += more
                    await self._connection.send_said()  # acknowledgements and the request share one write
                    await self._client.publish(self._subject, _BATCH % (more, _STANDS, _HEARTBEAT), reply=inbox)
                await self._wanted.wait()
        finally:
            watch.cancel()

    def _more(self) -> int:
        """Return how many messages to request now.

        A request costs the broker and this process as much as a message does. So messages are requested in batches,
        unless a delivery slot is free that no requested message is on its way to.
        """
        more = self._intake.wanted - self._asked
        worthwhile = more * 2 >= self._intake.ahead or self._asked < self._intake.idle
        return more if more > 0 and worthwhile else 0

    def _look(self) -> None:
        if not self._wanted.is_set() and self._more():
            self._wanted.set()

    async def _watch(self) -> None:
        """Stop when the broker is silent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SILENCE_SECONDS / 4)
            if self._asked > 0 and loop.time() - self._heard > _SILENCE_SECONDS:
                self._end()

    async def _on_message(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        headers = message.headers
        # Messages of the broker itself have no reply subject. A published message may have a Status header too.
        status = headers.get("Status") if headers and not message.reply else None
        if status is None:
            self._asked -= 1
            received = StreamMessage(self._connection, message)
            if received.sequence > self._taken_up_to:
                self._intake.offer(received)
            else:
                await received.done()
                self._wanted.set()
        elif status in _OVER and headers is not None and "Nats-Pending-Messages" in headers:
            self._asked -= int(headers["Nats-Pending-Messages"])
            self._wanted.set()
            if "deleted" in headers.get("Description", "").lower():
                self._end()
        elif status != _HEARTBEAT_STATUS:
            self._end()  # 503 if the consumer does not exist, and any other status that ends a request

    def _end(self) -> None:
        self._is_over = True
        self._wanted.set()
