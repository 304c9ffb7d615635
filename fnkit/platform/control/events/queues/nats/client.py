"""Opens a session with a NATS broker, using nats-py and the settings of ``brokers.toml``. Imports nats-py.

It adds three checks that nats-py lacks: nothing is sent in plaintext to a broker that must be used with TLS, a
session that ended while it was being established is an error, and all errors are ``BrokerError``.
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
from fnkit.platform.control.events.queues.interface import BrokerError
from fnkit.platform.control.events.queues.nats.connection import connect_options, requires_tls
from fnkit.platform.control.events.queues.nats.errors import (
    ConnectionClosed,
    auth_error,
    broker_address,
    connection_error,
)

__all__ = ["open_client"]

_CONNECT_TIMEOUT: Final = 5
_PING_INTERVAL: Final = 10
_CLOSE_TIMEOUT: Final = 0.2


class _PlaintextRefused(Exception):
    """The broker does not offer TLS."""


class _NatsClient(Client):
    """A client that can require TLS, and records what the server requires of it."""

    requires_tls = False
    verifies_certificates = False
    requires_credentials = False

    async def _process_info(
        self,
        info: dict[str, Any],
        initial_connection: bool = False,  # noqa: FBT001, FBT002  the signature of nats-py
    ) -> None:
        self.verifies_certificates = bool(info.get("tls_verify"))
        self.requires_credentials = bool(info.get("auth_required") or info.get("nonce"))
        if self.requires_tls and initial_connection:
            if not info.get("tls_required") and not info.get("tls_available"):
                raise _PlaintextRefused
            # The server may only offer TLS ("tls_available"); nats-py upgrades only if it is required.
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


async def open_client(broker: NatsBroker, on_error: Callable[[Exception], None]) -> tuple[Client, asyncio.Event]:
    """Open a session.

    Args:
        broker: The broker.
        on_error: Called with errors that the broker reports during the session, such as permission violations.

    Returns:
        The client, and an event that is set when the session is over.

    Raises:
        BrokerError: The broker cannot be reached, or rejects the connection.
    """
    urls = [one.strip() for one in broker.url.split(",")]
    if urls[0].startswith("ws") and find_spec("aiohttp") is None:
        raise BrokerError(
            "NATS: ws:// and wss:// require aiohttp: pip install aiohttp, then start the platform again"
        )
    closed, errors = asyncio.Event(), list[Exception]()
    client = _NatsClient()
    client.requires_tls = requires_tls(broker)

    async def set_closed() -> None:
        closed.set()

    async def record_error(error: Exception) -> None:
        errors.append(error)
        del errors[:-1]
        on_error(error)

    try:
        await client.connect(
            urls,
            name="fnkit",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_TIMEOUT,
            ping_interval=_PING_INTERVAL,
            skip_subject_validation=True,  # all subjects come from fnkit or from the broker
            closed_cb=set_closed,
            error_cb=record_error,
            **connect_options(broker),
        )
        # With TLS 1.3 the server checks the client certificate after the client considers the handshake complete,
        # so a rejection arrives only now, as a closed connection.
        if not client.is_connected:
            await asyncio.wait_for(closed.wait(), _CONNECT_TIMEOUT)
            raise client.last_error or ConnectionError("it closed the connection")
    except _PlaintextRefused:
        await _close_failed_client(client)
        raise BrokerError(
            f"the NATS broker {broker_address(broker)} does not offer TLS, which brokers.toml requires; "
            "nothing was sent"
        ) from None
    except (OSError, Error, TimeoutError, ValueError) as error:
        await _close_failed_client(client)
        cause = errors[-1] if errors else error
        if client.requires_credentials and isinstance(cause, (ConnectionError, UnexpectedEOF)):
            raise ConnectionClosed(auth_error(broker)) from None
        raise BrokerError(connection_error(broker, cause, after_tls=client.verifies_certificates)) from None
    return client, closed


async def _close_failed_client(client: Client) -> None:
    """Close a client whose connection failed.

    The timeout is needed because nats-py waits forever for the end of a connection whose TLS handshake failed,
    which asyncio never reports.
    """
    with contextlib.suppress(Exception):
        await asyncio.wait_for(client.close(), _CLOSE_TIMEOUT)
