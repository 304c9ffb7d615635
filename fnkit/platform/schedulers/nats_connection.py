"""Connections to NATS brokers: sessions opened with nats-py, credentials and TLS, reconnecting, and sharing.

Triggers on the same broker share one connection, which exists as long as it has users. nats-py's own reconnecting
is not used: it hides which session a message came from, and gives up when the server rejects the credentials. A
lost connection is opened again after 0.1 s, 0.2 s … 5 s, and its users subscribe again on the new session.

Credential files are read for each connection, and here rather than by nats-py, which never returns from reading a
file without a JWT. nats-py itself is imported at the first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.nats_faults import HungUp, address, denial, fault

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["NatsConnection", "NatsConnections", "has_nats"]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_CONNECT_SECONDS: Final = 5
_DENIED: Final = "permissions violation"
_STREAMS_CHANGED: Final = "$JS.EVENT.ADVISORY.STREAM.*.*"
"""Advisories of JetStream about streams that were created, changed or deleted."""
_ASKING: Final = '"$js.api.'
_ANSWERS: Final = '"_inbox.'
_DENIALS: Final = 100
_LASTING_SECONDS: Final = 1.0
_GATHER_SECONDS: Final = 0.005
_GRACE_SECONDS: Final = 5.0
"""Seconds for which a broker that was connected may be away, as during a restart, before triggers report errors."""
_logger = logging.getLogger(__name__)


def has_nats() -> bool:
    """Return whether nats-py is installed (``fnkit[queues]``)."""
    return find_spec("nats") is not None


class NatsConnection:
    """A connection to one broker that is reopened until it is closed.

    Attributes:
        user_count: Number of triggers that use the connection.
        streams_changed: Set when streams may have changed; replaced by a new event each time.
        violation_seen: Set when the broker denied permission; replaced by a new event each time.
        violations: How often the broker denied access to the JetStream API or to its replies.
        can_receive_replies: Whether the broker permits the subscription to the inbox for replies in this session.
    """

    def __init__(self, broker: NatsBroker) -> None:
        self.users = 0
        self.streams_changed = asyncio.Event()
        self.refused = asyncio.Event()
        self.refusals = 0
        # nats-py subscribes to its inbox once per session, so a denial holds for the whole session.
        self.may_hear_answers = True
        self._broker = broker
        self._client: Client | None = None
        self._fault: str | None = None
        self._denials: deque[str] = deque(maxlen=_DENIALS)
        self._gone_since: float | None = None
        self._changed = asyncio.Event()
        self._unsaid: deque[tuple[str, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._task = asyncio.ensure_future(self._keep())

    async def client(self) -> Client:
        """Return the client as soon as there is a session.

        Raises:
            BrokerError: The broker was never connected, or not for some seconds.
        """
        while self._client is None:
            left = self._grace_left()
            if self._fault is not None and left <= 0:
                raise BrokerTrouble(self._fault)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left if self._fault is not None else None)
        return self._client

    def denied(self, consumer: str) -> str:
        """Return the message of a permission violation of a consumer, or ``""`` if there was none.

        Each violation is returned once.

        Args:
            consumer: Name of the consumer or queue group.
        """
        found = [text for text in self._denials if consumer in text]
        for text in found:
            self._denials.remove(text)
        return denial(self._broker, found[-1]) if found else ""

    async def lost(self, client: Client) -> None:
        """Return when that session is over."""
        while self._client is client:
            await self._changed.wait()

    def say(self, subject: str, payload: bytes) -> None:
        """Publish within five milliseconds, together with other messages. Without a session, wait for one.

        Writing each acknowledgement to the socket at once would cost as much as handling a message does.
        """
        self._unsaid.append((subject, payload))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._say_now)

    async def send_said(self) -> None:
        """Publish the outgoing messages now, if there is a session."""
        from nats.errors import Error

        while self._unsaid and (client := self._client) is not None:
            subject, payload = self._unsaid[0]
            try:
                await client.publish(subject, payload)
            except Error:
                return  # sent in the next session
            self._unsaid.popleft()

    async def close(self) -> None:
        """Publish the outgoing messages and close the connection."""
        if self._timer is not None:
            self._timer.cancel()
        await self.send_said()
        if self._client is not None:
            with contextlib.suppress(Exception):
                await self._client.flush(_CONNECT_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _look_again(self) -> None:
        self.streams_changed.set()
        self.streams_changed = asyncio.Event()

    def _say_now(self) -> None:
        self._timer = None
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self.send_said())

    def _grace_left(self) -> float:
        if self._gone_since is None:
            return 0.0
        return self._gone_since + _GRACE_SECONDS - asyncio.get_running_loop().time()

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        while True:
            client = None
            try:
                client, closed = await self._connect()
                began = loop.time()
                self._become(client, None)
                await closed.wait()
                if loop.time() - began > _LASTING_SECONDS:  # else the broker accepts and closes at once
                    self._gone_since, pause = loop.time(), _FIRST_PAUSE
                self._become(
                    None, fault(self._broker, client.last_error or ConnectionError("it closed the connection"))
                )
            except HungUp as error:
                # Keep the error that the broker gave earlier: it has more detail than a closed connection.
                earlier = self._fault if self._fault and self._fault.startswith(error.meaning) else None
                self._become(None, earlier or str(error))
            except BrokerTrouble as error:
                self._become(None, str(error))
            except Exception:
                _logger.exception("Unexpected error of NATS broker %s", address(self._broker))
                self._become(None, f"the NATS broker {address(self._broker)}: internal error; see the log")
            finally:
                if client is not None and not client.is_closed:
                    with contextlib.suppress(Exception):
                        await asyncio.shield(client.close())
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _become(self, client: Client | None, fault: str | None) -> None:
        self._client, self._fault = client, fault
        self._changed.set()
        self._changed = asyncio.Event()
        self._say_now()

    async def _connect(self) -> tuple[Client, asyncio.Event]:
        from nats.errors import Error

        from fnkit.platform.schedulers.nats_client import open_client

        self._denials.clear()
        self.may_hear_answers = True

        def on_error(error: Exception) -> None:
            # nats-py converts the text of some errors to lower case.
            if _DENIED in (text := str(error).lower()):
                self._denials.append(text)
                if _ANSWERS in text:
                    self.may_hear_answers = False
                if _ASKING in text or _ANSWERS in text:
                    self.refusals += 1
                else:
                    self._look_again()
                self.refused.set()
                self.refused = asyncio.Event()

        async def on_advisory(_message: Msg) -> None:
            self._look_again()

        client, closed = await open_client(self._broker, on_error)
        with contextlib.suppress(Error):  # without permission, changes are found by polling
            await client.subscribe(_STREAMS_CHANGED, cb=on_advisory)
        return client, closed


class NatsConnections:
    """The connections of this process, one per broker, with reference counts."""

    def __init__(self) -> None:
        self._connections: dict[NatsBroker, NatsConnection] = {}

    def take(self, broker: NatsBroker) -> NatsConnection:
        """Return the connection to a broker, and open it for the first user. Each call needs one ``release``."""
        connection = self._connections.get(broker)
        if connection is None:
            connection = self._connections[broker] = NatsConnection(broker)
        connection.users += 1
        return connection

    async def give(self, broker: NatsBroker) -> None:
        """End one use of a connection. The last user closes it."""
        connection = self._connections[broker]
        connection.users -= 1
        if connection.users == 0:
            del self._connections[broker]
            await connection.close()
