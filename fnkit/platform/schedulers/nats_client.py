"""One session with a NATS broker: nats-py's client, opened as ``brokers.toml`` says. Loads nats-py.

Three things are done here that nats-py leaves out: nothing is said in the clear to a broker that is to be talked to
by TLS, a session that ended while it began is an error, and errors are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error, UnexpectedEOF

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.nats_access import access, is_by_tls
from fnkit.platform.schedulers.nats_faults import HungUp, address, fault, refusal

__all__ = ["open_client"]

_CONNECT_SECONDS: Final = 5
_PING_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 0.2


class _InTheClear(Exception):
    """The broker offers no TLS."""


class _Client(Client):
    """A client that can be told to talk by TLS alone."""

    by_tls = False
    looks_at_certificates = False
    asks_for_credentials = False

    async def _process_info(
        self,
        info: dict[str, Any],
        initial_connection: bool = False,  # noqa: FBT001, FBT002  as it is called
    ) -> None:
        self.looks_at_certificates = bool(info.get("tls_verify"))
        self.asks_for_credentials = bool(info.get("auth_required") or info.get("nonce"))
        if self.by_tls and initial_connection:
            if not info.get("tls_required") and not info.get("tls_available"):
                raise _InTheClear
            info["tls_required"] = True  # it may be left to the client
        await super()._process_info(info, initial_connection)


async def open_client(broker: NatsBroker, on_fault: Callable[[Exception], None]) -> tuple[Client, asyncio.Event]:
    """Return a session, and what is set when it is over. on_fault: what the broker complains about meanwhile.

    Raises:
        BrokerTrouble: the broker cannot be reached, or refuses.
    """
    urls = [one.strip() for one in broker.url.split(",")]
    if urls[0].startswith("ws") and find_spec("aiohttp") is None:
        raise BrokerTrouble(
            "NATS: ws:// and wss:// need aiohttp: pip install aiohttp, then start the platform again"
        )
    closed, faults = asyncio.Event(), list[Exception]()
    client = _Client()
    client.by_tls = is_by_tls(broker)

    async def on_closed() -> None:
        closed.set()

    async def on_error(error: Exception) -> None:
        faults.append(error)
        del faults[:-1]
        on_fault(error)

    try:
        await client.connect(
            urls,
            name="fnkit",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_SECONDS,
            ping_interval=_PING_SECONDS,
            skip_subject_validation=True,  # ours, or the broker's own
            closed_cb=on_closed,
            error_cb=on_error,
            **access(broker),
        )
        if not client.is_connected:  # the broker hung up where it should have greeted: TLS 1.3 refuses so late
            await asyncio.wait_for(closed.wait(), _CONNECT_SECONDS)
            raise client.last_error or ConnectionError("it hung up")
    except _InTheClear:
        await _closed(client)
        raise BrokerTrouble(
            f"the NATS broker {address(broker)} offers no TLS, which brokers.toml asks for; it was told nothing"
        ) from None
    except (OSError, Error, TimeoutError, ValueError) as error:
        await _closed(client)
        found = faults[-1] if faults else error
        if client.asks_for_credentials and isinstance(found, (ConnectionError, UnexpectedEOF)):
            raise HungUp(refusal(broker)) from None
        raise BrokerTrouble(fault(broker, found, after_tls=client.looks_at_certificates)) from None
    return client, closed


async def _closed(client: Client) -> None:
    """Close what did not come about. Where TLS failed, nats-py waits for ever for what asyncio never says."""
    with contextlib.suppress(Exception):
        await asyncio.wait_for(client.close(), _CLOSE_SECONDS)
