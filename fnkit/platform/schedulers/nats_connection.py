"""One connection to one NATS broker, kept for ever: triggers on the same broker share it.

nats-py is not asked to reconnect: it hides which of its sessions a message came from, and gives up where a server
refuses its credentials. A lost connection is made again here, after 0.1 s, 0.2 s … 5 s, and everybody who listens
begins anew on the next one. nats-py itself is loaded at the first connection.
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
"""Where JetStream says that a stream was made, changed or deleted."""
_ASKING: Final = '"$js.api.'
_ANSWERS: Final = '"_inbox.'
_DENIALS: Final = 100
_LASTING_SECONDS: Final = 1.0
_GATHER_SECONDS: Final = 0.005
_GRACE_SECONDS: Final = 5.0
"""So long may a broker that was there be away before its triggers are in error: it may just be restarted."""
_logger = logging.getLogger(__name__)


def has_nats() -> bool:
    """Whether nats-py is installed (``fnkit[queues]``)."""
    return find_spec("nats") is not None


class NatsConnection:
    """See the module."""

    def __init__(self, broker: NatsBroker) -> None:
        self.users = 0
        self.streams_changed = asyncio.Event()  # another one each time
        self.refused = asyncio.Event()  # another one each time
        self.refusals = 0  # how often JetStream was not ours to ask
        self.may_hear_answers = True  # nats-py asks for that once a connection
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

    def denied(self, consumer: str) -> str:
        """Return what the broker says where it has refused something to that consumer or queue group, once."""
        found = [words for words in self._denials if consumer in words]
        for words in found:
            self._denials.remove(words)
        return denial(self._broker, found[-1]) if found else ""

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
                if loop.time() - began > _LASTING_SECONDS:  # a broker that always hangs up was never there
                    self._gone_since, pause = loop.time(), _FIRST_PAUSE
                self._become(None, fault(self._broker, client.last_error or ConnectionError("it hung up")))
            except HungUp as trouble:
                known = self._fault if self._fault and self._fault.startswith(trouble.meaning) else None
                self._become(None, known or str(trouble))
            except BrokerTrouble as trouble:
                self._become(None, str(trouble))
            except Exception:
                _logger.exception("Broker %s", address(self._broker))
                self._become(None, f"the NATS broker {address(self._broker)}: internal error, see the log")
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

        def on_fault(error: Exception) -> None:
            # nats-py says it in small letters.
            if _DENIED in (words := str(error).lower()):
                self._denials.append(words)
                if _ANSWERS in words:
                    self.may_hear_answers = False
                if _ASKING in words or _ANSWERS in words:
                    self.refusals += 1
                else:
                    self._look_again()
                self.refused.set()
                self.refused = asyncio.Event()

        async def on_advisory(_message: Msg) -> None:
            self._look_again()

        client, closed = await open_client(self._broker, on_fault)
        with contextlib.suppress(Error):  # without it, changes are seen when they are looked for
            await client.subscribe(_STREAMS_CHANGED, cb=on_advisory)
        return client, closed


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
