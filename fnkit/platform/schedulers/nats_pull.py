"""Pulls from a durable consumer exactly as many messages as there are free hands.

A pull request says how many may come and for how long it stands; what it asked for and did not get, the broker says
when it ends (``Nats-Pending-Messages``). While one stands the broker is heard at least every five seconds, so a
silence means that the broker forgot it: everything begins anew then.
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

_STANDS: Final = 30 * 10**9  # nanoseconds
_HEARTBEAT: Final = 5 * 10**9
_SILENCE_SECONDS: Final = 12.0
_BATCH: Final = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}'
_HEARTBEAT_STATUS: Final = "100"
_OVER: Final = frozenset({"408", "409"})  # the request's time is over; the consumer or its leader changed


class Pull:
    """One consumer's messages on one connection.

    taken_up_to: the sequence up to which every message was taken, where a consumer of a work queue, which cannot be
    told where to begin, hands some out all the same.
    """

    def __init__(
        self,
        connection: NatsConnection,
        client: Client,
        stream: str,
        consumer: str,
        intake: Intake,
        *,
        taken_up_to: int = 0,
    ) -> None:
        self._connection = connection
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._intake = intake
        self._taken_up_to = taken_up_to
        self._asked = 0
        self._wanted = asyncio.Event()
        self._is_over = False
        self._heard = 0.0

    async def run(self) -> None:
        """Offer messages until cancelled; returns when the consumer is not there any more, or silent.

        Raises:
            BrokerTrouble: the connection broke.
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
                    await self._connection.send_said()  # what is to be acknowledged goes with it
                    await self._client.publish(self._subject, _BATCH % (more, _STANDS, _HEARTBEAT), reply=inbox)
                await self._wanted.wait()
        finally:
            watch.cancel()

    def _more(self) -> int:
        """How many to ask for now. Some at a time, unless nothing is under way for an idle hand.

        A request costs the broker, and us, as much as a message does.
        """
        more = self._intake.wanted - self._asked
        worthwhile = more * 2 >= self._intake.ahead or self._asked < self._intake.idle
        return more if more > 0 and worthwhile else 0

    def _look(self) -> None:
        if not self._wanted.is_set() and self._more():
            self._wanted.set()

    async def _watch(self) -> None:
        """End what the broker does not answer any more."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SILENCE_SECONDS / 4)
            if self._asked > 0 and loop.time() - self._heard > _SILENCE_SECONDS:
                self._end()

    async def _on_message(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        headers = message.headers
        # What the broker says itself is not to be acknowledged; a message may well have that header, and no body.
        status = headers.get("Status") if headers and not message.reply else None
        if status is None:
            self._asked -= 1
            found = StreamMessage(self._connection, message)
            if found.sequence > self._taken_up_to:
                self._intake.offer(found)
            else:
                await found.done()
                self._wanted.set()
        elif status in _OVER and headers is not None and "Nats-Pending-Messages" in headers:
            self._asked -= int(headers["Nats-Pending-Messages"])
            self._wanted.set()
            if "deleted" in headers.get("Description", "").lower():
                self._end()
        elif status != _HEARTBEAT_STATUS:
            self._end()  # 503: nobody answers for that consumer; and whatever else ends a request

    def _end(self) -> None:
        self._is_over = True
        self._wanted.set()
