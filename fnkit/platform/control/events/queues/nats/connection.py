"""Connections to NATS brokers: reconnecting, and sharing.

Triggers on the same broker share one connection, which exists as long as it has users. nats-py's own reconnecting
is not used: it hides which session a message came from, and gives up when the server rejects the credentials. A
lost connection is opened again after 0.1 s, 0.2 s … 5 s, and its users subscribe again on the new session. nats-py
itself is imported at the first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.events.queues.interface import BrokerError
from fnkit.platform.control.events.queues.nats import errors

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

_MIN_BACKOFF: Final = 0.1
_MAX_BACKOFF: Final = 5.0
_MIN_SESSION_SECONDS: Final = 1.0  # a shorter session counts as a failure to connect
_RECONNECT_GRACE_SECONDS: Final = 5.0
"""Seconds for which a broker that was connected may be away, as during a restart, before triggers report errors."""

_FLUSH_DELAY: Final = 0.005
_FLUSH_TIMEOUT: Final = 5

_STREAM_ADVISORIES: Final = "$JS.EVENT.ADVISORY.STREAM.*.*"
"""Advisories of JetStream about streams that were created, changed or deleted."""
# Parts of permission errors, whose text nats-py converts to lower case
_PERMISSIONS_VIOLATION: Final = "permissions violation"
_JETSTREAM_SUBJECT: Final = '"$js.api.'
_INBOX_SUBJECT: Final = '"_inbox.'
_MAX_PERMISSION_ERRORS: Final = 100

_logger = logging.getLogger(__name__)


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
        self.user_count = 0
        self.streams_changed = asyncio.Event()
        self.violation_seen = asyncio.Event()
        self.violations = 0
        # nats-py subscribes to its inbox once per session, so a denial holds for the whole session.
        self.can_receive_replies = True
        self._broker = broker
        self._client: Client | None = None
        self._error: str | None = None
        self._permission_errors: deque[str] = deque(maxlen=_MAX_PERMISSION_ERRORS)
        self._disconnected_at: float | None = None
        self._state_changed = asyncio.Event()
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flush_task: asyncio.Task[None] | None = None
        self._session_task = asyncio.ensure_future(self._run_sessions())

    async def wait_for_client(self) -> Client:
        """Return the client as soon as there is a session.

        Raises:
            BrokerError: The broker was never connected, or not for some seconds.
        """
        while self._client is None:
            left = self._remaining_grace()
            if self._error is not None and left <= 0:
                raise BrokerError(self._error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._state_changed.wait(), left if self._error is not None else None)
        return self._client

    def permission_error(self, consumer: str) -> str:
        """Return the message of a permission violation of a consumer, or ``""`` if there was none.

        Each violation is returned once.

        Args:
            consumer: Name of the consumer or queue group.
        """
        found = [text for text in self._permission_errors if consumer in text]
        for text in found:
            self._permission_errors.remove(text)
        return errors.permission_error(self._broker, found[-1]) if found else ""

    async def wait_until_lost(self, client: Client) -> None:
        """Return when that session is over."""
        while self._client is client:
            await self._state_changed.wait()

    def publish(self, subject: str, payload: bytes) -> None:
        """Publish within five milliseconds, together with other messages. Without a session, wait for one.

        Writing each acknowledgement to the socket at once would cost as much as handling a message does.
        """
        self._outgoing.append((subject, payload))
        if self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(_FLUSH_DELAY, self._start_flush)

    async def flush(self) -> None:
        """Publish the outgoing messages now, if there is a session."""
        from nats.errors import Error

        while self._outgoing and (client := self._client) is not None:
            subject, payload = self._outgoing[0]
            try:
                await client.publish(subject, payload)
            except Error:
                return  # sent in the next session
            self._outgoing.popleft()

    async def close(self) -> None:
        """Publish the outgoing messages and close the connection."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        await self.flush()
        if self._client is not None:
            with contextlib.suppress(Exception):
                await self._client.flush(_FLUSH_TIMEOUT)
        self._session_task.cancel()
        await asyncio.gather(self._session_task, return_exceptions=True)

    def _notify_streams_changed(self) -> None:
        self.streams_changed.set()
        self.streams_changed = asyncio.Event()

    def _start_flush(self) -> None:
        self._flush_timer = None
        if self._flush_task is None or self._flush_task.done():
            self._flush_task = asyncio.ensure_future(self.flush())

    def _remaining_grace(self) -> float:
        if self._disconnected_at is None:
            return 0.0
        return self._disconnected_at + _RECONNECT_GRACE_SECONDS - asyncio.get_running_loop().time()

    async def _run_sessions(self) -> None:
        loop, pause = asyncio.get_running_loop(), _MIN_BACKOFF
        while True:
            client = None
            try:
                client, closed = await self._connect()
                began = loop.time()
                self._set_state(client, None)
                await closed.wait()
                if loop.time() - began > _MIN_SESSION_SECONDS:  # else the broker accepts and closes at once
                    self._disconnected_at, pause = loop.time(), _MIN_BACKOFF
                cause = client.last_error or ConnectionError("it closed the connection")
                self._set_state(None, errors.connection_error(self._broker, cause))
            except errors.ConnectionClosed as error:
                # Keep the error that the broker gave earlier: it has more detail than a closed connection.
                earlier = self._error if self._error and self._error.startswith(error.message_prefix) else None
                self._set_state(None, earlier or str(error))
            except BrokerError as error:
                self._set_state(None, str(error))
            except Exception:
                address = errors.broker_address(self._broker)
                _logger.exception("Unexpected error of NATS broker %s", address)
                self._set_state(None, f"the NATS broker {address}: internal error; see the log")
            finally:
                if client is not None and not client.is_closed:
                    with contextlib.suppress(Exception):
                        await asyncio.shield(client.close())
            await asyncio.sleep(pause)
            pause = min(_MAX_BACKOFF, pause * 2)

    def _set_state(self, client: Client | None, error: str | None) -> None:
        self._client, self._error = client, error
        self._state_changed.set()
        self._state_changed = asyncio.Event()
        self._start_flush()

    async def _connect(self) -> tuple[Client, asyncio.Event]:
        from nats.errors import Error

        from fnkit.platform.control.events.queues.nats.client import open_client

        self._permission_errors.clear()
        self.can_receive_replies = True

        def on_error(error: Exception) -> None:
            # nats-py converts the text of some errors to lower case.
            if _PERMISSIONS_VIOLATION in (text := str(error).lower()):
                self._permission_errors.append(text)
                if _INBOX_SUBJECT in text:
                    self.can_receive_replies = False
                if _JETSTREAM_SUBJECT in text or _INBOX_SUBJECT in text:
                    self.violations += 1
                else:
                    self._notify_streams_changed()
                self.violation_seen.set()
                self.violation_seen = asyncio.Event()

        async def on_advisory(_message: Msg) -> None:
            self._notify_streams_changed()

        client, closed = await open_client(self._broker, on_error)
        with contextlib.suppress(Error):  # without permission, changes are found by polling
            await client.subscribe(_STREAM_ADVISORIES, cb=on_advisory)
        return client, closed


class NatsConnections:
    """The connections of this process, one per broker, with reference counts."""

    def __init__(self) -> None:
        self._connections: dict[NatsBroker, NatsConnection] = {}

    def acquire(self, broker: NatsBroker) -> NatsConnection:
        """Return the connection to a broker, and open it for the first user. Each call needs one ``release``."""
        connection = self._connections.get(broker)
        if connection is None:
            connection = self._connections[broker] = NatsConnection(broker)
        connection.user_count += 1
        return connection

    async def release(self, broker: NatsBroker) -> None:
        """End one use of a connection. The last user closes it."""
        connection = self._connections[broker]
        connection.user_count -= 1
        if connection.user_count == 0:
            del self._connections[broker]
            await connection.close()
