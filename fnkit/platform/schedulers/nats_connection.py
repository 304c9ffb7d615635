"""One connection to one NATS broker, kept for ever: triggers on the same broker share it.

nats-py is not asked to reconnect: it hides which of its sessions a message came from, and gives up where a server
refuses its credentials. A lost connection is made again here, after 0.1 s, 0.2 s … 5 s, and everybody who listens
begins anew on the next one. nats-py itself is loaded at the first connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.schedulers.listening import BrokerTrouble

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["NatsConnection", "NatsConnections", "has_nats"]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_CONNECT_SECONDS: Final = 5
_PING_SECONDS: Final = 10
_DENIED: Final = "permissions violation"
_STREAMS_CHANGED: Final = "$JS.EVENT.ADVISORY.STREAM.*.*"
"""Where JetStream says that a stream was made, changed or deleted."""
_GATHER_SECONDS: Final = 0.005
_GRACE_SECONDS: Final = 5.0
"""So long may a broker that was there be away before its triggers are in error: it may just be restarted."""


def has_nats() -> bool:
    """Whether nats-py is installed (``fnkit[queues]``)."""
    return find_spec("nats") is not None


class NatsConnection:
    """See the module."""

    def __init__(self, broker: NatsBroker) -> None:
        self.users = 0
        self.may_use_jetstream = True  # as far as the broker has said
        self.streams_changed = asyncio.Event()  # another one each time
        self._broker = broker
        self._client: Client | None = None
        self._fault: str | None = None
        self._gone_since: float | None = None
        self._changed = asyncio.Event()
        self._unsaid: deque[tuple[str, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._task = asyncio.ensure_future(self._keep())

    async def client(self) -> Client:
        """Return the connection as soon as there is one.

        Raises:
            BrokerTrouble: the broker was never there, or not for some time.
        """
        while self._client is None:
            left = self._grace_left()
            if self._fault is not None and left <= 0:
                raise BrokerTrouble(self._fault)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left if self._fault is not None else None)
        return self._client

    async def lost(self, client: Client) -> None:
        """Return when that connection is gone."""
        while self._client is client:
            await self._changed.wait()

    def say(self, subject: str, payload: bytes) -> None:
        """Publish within five milliseconds, with whatever else is said; or as soon as there is a connection.

        Each write of its own to the broker would cost as much as handling a message does.
        """
        self._unsaid.append((subject, payload))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._say_now)

    async def send_said(self) -> None:
        """Publish what was said, if there is a connection."""
        from nats.errors import Error

        while self._unsaid and (client := self._client) is not None:
            subject, payload = self._unsaid[0]
            try:
                await client.publish(subject, payload)
            except Error:
                return  # the next connection sends it
            self._unsaid.popleft()

    async def close(self) -> None:
        """End it, when what was said is sent."""
        if self._timer is not None:
            self._timer.cancel()
        await self.send_said()
        if self._client is not None:
            with contextlib.suppress(Exception):
                await self._client.flush(_CONNECT_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _say_now(self) -> None:
        self._timer = None
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self.send_said())

    def _grace_left(self) -> float:
        if self._gone_since is None:
            return 0.0
        return self._gone_since + _GRACE_SECONDS - asyncio.get_running_loop().time()

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            client = None
            try:
                client, closed = await self._connect()
                pause = _FIRST_PAUSE
                self._become(client, None)
                await closed.wait()
                self._gone_since = asyncio.get_running_loop().time()
                self._become(None, self._said(client.last_error or ConnectionError("the connection was lost")))
            except BrokerTrouble as trouble:
                self._become(None, str(trouble))
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
        from nats.aio.client import Client
        from nats.errors import Error

        closed, faults = asyncio.Event(), list[Exception]()
        client = Client()

        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            faults.append(error)
            del faults[:-1]
            if _DENIED in str(error).lower() and "$JS.API" in str(error):
                self.may_use_jetstream = False

        async def on_advisory(_message: Msg) -> None:
            self.streams_changed.set()
            self.streams_changed = asyncio.Event()

        try:
            await client.connect(
                [one.strip() for one in self._broker.url.split(",")],
                name="fnkit",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_CONNECT_SECONDS,
                ping_interval=_PING_SECONDS,
                skip_subject_validation=True,  # ours, or the broker's own
                closed_cb=on_closed,
                error_cb=on_error,
                **self._credentials(),
            )
        except (OSError, Error, TimeoutError, ValueError) as error:
            with contextlib.suppress(Exception):
                await client.close()
            raise BrokerTrouble(self._said(faults[-1] if faults else error)) from None
        with contextlib.suppress(Error):  # without it, changes are seen when they are looked for
            await client.subscribe(_STREAMS_CHANGED, cb=on_advisory)
        return client, closed

    def _credentials(self) -> dict[str, Any]:
        broker = self._broker
        options: dict[str, Any] = {
            "user": broker.user,
            "password": broker.password,
            "token": broker.token,
            "user_credentials": str(Path(broker.credentials).expanduser()) if broker.credentials else "",
            "nkeys_seed_str": broker.nkey,
        }
        if broker.certificate:
            options["tls"] = ssl.create_default_context(cafile=str(Path(broker.certificate).expanduser()))
        return {name: value for name, value in options.items() if value}

    def _said(self, error: Exception) -> str:
        """Return a fault's words, without what nobody may read."""
        words = str(error).removeprefix("nats: ").strip() or type(error).__name__
        for secret in (self._broker.password, self._broker.token, self._broker.nkey, self._broker.url):
            if secret:
                words = words.replace(secret, "…")
        return f"the NATS broker does not answer: {words}" if isinstance(error, OSError) else f"NATS: {words}"


class NatsConnections:
    """The connections of this process, one a broker, as long as somebody uses it."""

    def __init__(self) -> None:
        self._connections: dict[NatsBroker, NatsConnection] = {}

    def take(self, broker: NatsBroker) -> NatsConnection:
        """Return the connection to a broker; every ``take`` needs one ``give``."""
        connection = self._connections.get(broker)
        if connection is None:
            connection = self._connections[broker] = NatsConnection(broker)
        connection.users += 1
        return connection

    async def give(self, broker: NatsBroker) -> None:
        """It is not used any more by whoever took it."""
        connection = self._connections[broker]
        connection.users -= 1
        if connection.users == 0:
            del self._connections[broker]
            await connection.close()
