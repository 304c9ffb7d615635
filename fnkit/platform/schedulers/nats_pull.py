"""Pulls messages from a durable consumer.

A pull request states a number of messages and an expiry. When it ends early, the broker reports how many were not
delivered (``Nats-Pending-Messages``). While a request is open, the broker sends a message or a heartbeat at least
every five seconds. Silence means that the broker lost the request, and the consumer starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from fnkit.platform.schedulers.listening import BrokerError, Prefetch
from fnkit.platform.schedulers.nats_connection import NatsConnection
from fnkit.platform.schedulers.nats_messages import StreamMessage

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["PullConsumer"]

_REQUEST_EXPIRY: Final = 30 * 10**9  # nanoseconds, as in the API of JetStream
_HEARTBEAT_INTERVAL: Final = 5 * 10**9
_SILENCE_TIMEOUT: Final = 12.0
_PULL_REQUEST: Final = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}'
_HEARTBEAT_STATUS: Final = "100"
_REQUEST_ENDED_STATUSES: Final = frozenset(
    {"408", "409"}
)  # expired; ended by a change of the consumer or of its leader


class PullConsumer:
    """The messages of one consumer in one session."""

    def __init__(
        self,
        connection: NatsConnection,
        client: Client,
        stream: str,
        consumer: str,
        prefetch: Prefetch,
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
        self._prefetch = prefetch
        self._ack_floor = ack_floor
        self._requested = 0
        self._wake_up = asyncio.Event()
        self._is_stopped = False
        self._last_received_at = 0.0

    async def run(self) -> None:
        """Receive messages until cancelled. Return if the consumer no longer exists or the broker is silent.

        Raises:
            BrokerError: The connection broke.
        """
        from nats.errors import Error

        inbox = self._client.new_inbox()
        self._prefetch.on_demand = self._on_demand
        self._wake_up.set()
        try:
            subscription = await self._client.subscribe(inbox, cb=self._on_message)
            try:
                await self._request_messages(inbox)
            finally:
                self._prefetch.on_demand = lambda: None
                with contextlib.suppress(Error):
                    await subscription.unsubscribe()
        except Error as error:
            raise BrokerError(f"NATS: {error}") from None

    async def _request_messages(self, inbox: str) -> None:
        loop = asyncio.get_running_loop()
        self._last_received_at = loop.time()
        watch = asyncio.ensure_future(self._watch_heartbeats())
        try:
            while not self._is_stopped:
                self._wake_up.clear()
                if more := self._next_batch():
                    if self._requested == 0:
                        self._last_received_at = loop.time()
                    self._requested += more
                    await self._connection.flush()  # acknowledgements and the request share one write
                    await self._client.publish(
                        self._subject, _PULL_REQUEST % (more, _REQUEST_EXPIRY, _HEARTBEAT_INTERVAL), reply=inbox
                    )
                await self._wake_up.wait()
        finally:
            watch.cancel()

    def _next_batch(self) -> int:
        """Return how many messages to request now.

        A request costs the broker and this process as much as a message does. So messages are requested in batches,
        unless a delivery slot is free that no requested message is on its way to.
        """
        more = self._prefetch.demand - self._requested
        worthwhile = more * 2 >= self._prefetch.limit or self._requested < self._prefetch.free_slots
        return more if more > 0 and worthwhile else 0

    def _on_demand(self) -> None:
        if not self._wake_up.is_set() and self._next_batch():
            self._wake_up.set()

    async def _watch_heartbeats(self) -> None:
        """Stop when the broker is silent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SILENCE_TIMEOUT / 4)
            if self._requested > 0 and loop.time() - self._last_received_at > _SILENCE_TIMEOUT:
                self._stop()

    async def _on_message(self, message: Msg) -> None:
        self._last_received_at = asyncio.get_running_loop().time()
        headers = message.headers
        # Messages of the broker itself have no reply subject. A published message may have a Status header too.
        status = headers.get("Status") if headers and not message.reply else None
        if status is None:
            self._requested -= 1
            received = StreamMessage(self._connection, message)
            if received.sequence > self._ack_floor:
                self._prefetch.put(received)
            else:
                await received.ack()
                self._wake_up.set()
        elif status in _REQUEST_ENDED_STATUSES and headers is not None and "Nats-Pending-Messages" in headers:
            self._requested -= int(headers["Nats-Pending-Messages"])
            self._wake_up.set()
            if "deleted" in headers.get("Description", "").lower():
                self._stop()
        elif status != _HEARTBEAT_STATUS:
            self._stop()  # 503 if the consumer does not exist, and any other status that ends a request

    def _stop(self) -> None:
        self._is_stopped = True
        self._wake_up.set()
