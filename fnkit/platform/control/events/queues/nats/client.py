"""Opens a session with a NATS broker, using nats-py and the settings of ``brokers.toml``. Imports nats-py.

It adds three checks that nats-py lacks: nothing is sent in plaintext to a broker that must be used with TLS, a
session that ended while it was being established is an error, and all errors are ``BrokerError``.

Credential files are read for each session, and here rather than by nats-py, which never returns from reading a file
without a JWT.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b32decode, b64encode
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error, UnexpectedEOF

from fnkit.contract.distribution import extra_install_hint
from fnkit.platform.brokers.config_file import CredentialsUnreadable, read_credentials, read_seed
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.events.queues.interface import BrokerError
from fnkit.platform.control.events.queues.nats.errors import (
    ConnectionClosed,
    auth_error,
    broker_address,
    connection_error,
)

_CONNECT_TIMEOUT: Final = 5
_PING_INTERVAL: Final = 10
_CLOSE_TIMEOUT: Final = 0.2
_CERTIFICATE_KEYS: Final = ("certificate", "client_certificate")


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
    if broker.urls[0].startswith("ws") and find_spec("aiohttp") is None:
        raise BrokerError(
            "NATS: ws:// and wss:// require aiohttp: pip install aiohttp, then start the platform again"
        )
    closed, errors = asyncio.Event(), list[Exception]()
    client = _NatsClient()
    client.requires_tls = _requires_tls(broker)

    async def set_closed() -> None:
        closed.set()

    async def record_error(error: Exception) -> None:
        errors.append(error)
        del errors[:-1]
        on_error(error)

    try:
        await client.connect(
            broker.urls,
            name="fnkit",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_TIMEOUT,
            ping_interval=_PING_INTERVAL,
            skip_subject_validation=True,  # all subjects come from fnkit or from the broker
            closed_cb=set_closed,
            error_cb=record_error,
            **_connect_options(broker),
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


def _connect_options(broker: NatsBroker) -> dict[str, Any]:
    """Return the keyword arguments of nats-py's ``connect`` for the credentials and certificates of a broker.

    Raises:
        BrokerError: A file cannot be read or has the wrong content.
    """
    options: dict[str, Any] = {"user": broker.user, "password": broker.password, "token": broker.token}
    try:
        if broker.credentials:
            jwt, seed = read_credentials(Path(broker.credentials).expanduser())
            options |= {
                "user_jwt_cb": lambda: bytearray(jwt.encode()),
                "signature_cb": _signature_callback(seed, "credentials"),
            }
        if broker.nkey:
            seed = read_seed(broker.nkey)
            _signature_callback(seed, "nkey")
            options["nkeys_seed_str"] = seed
    except CredentialsUnreadable as error:
        raise BrokerError(f"NATS: {error}; check brokers.toml") from None
    if any(getattr(broker, key) for key in _CERTIFICATE_KEYS):
        options["tls"] = _create_ssl_context(broker)
    return {name: value for name, value in options.items() if value}


def _requires_tls(broker: NatsBroker) -> bool:
    """Return whether nothing may be sent to the broker before the TLS handshake."""
    schemes = {url.partition(":")[0] for url in broker.urls}
    return "tls" in schemes or ("nats" in schemes and any(getattr(broker, key) for key in _CERTIFICATE_KEYS))


def _signature_callback(seed: str, key: str) -> Callable[[str], bytes]:
    """Return the callback that signs the nonce of a server.

    Raises:
        BrokerError: The seed is not valid, or ``nkeys`` is not installed.
    """
    try:
        import nkeys
    except ImportError:
        raise BrokerError(
            f"NATS: {key} requires nkeys: {extra_install_hint('queues')}, then start the platform again"
        ) from None

    def sign(nonce: str) -> bytes:
        return b64encode(nkeys.from_seed(bytearray(seed.encode())).sign(nonce.encode()))

    try:
        sign("")
        decoded = b32decode(seed + "=" * (-len(seed) % 8))
        is_valid = nkeys.crc16(decoded[:-2]).to_bytes(2, "little") == decoded[-2:]  # nkeys ignores the checksum
    except (nkeys.NkeysError, ValueError):
        is_valid = False
    if not is_valid:
        raise BrokerError(f"NATS: {key} in brokers.toml contains an invalid seed")
    return sign


def _create_ssl_context(broker: NatsBroker) -> ssl.SSLContext:
    """Return the TLS context: CAs that are trusted, and the client certificate.

    Raises:
        BrokerError: A file cannot be read, is not a certificate, or does not match its key.
    """
    authority = str(Path(broker.certificate).expanduser()) if broker.certificate else None
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise BrokerError(_certificate_error("certificate", broker.certificate, error)) from None
    if broker.client_certificate:
        certificate, key = Path(broker.client_certificate).expanduser(), Path(broker.client_key).expanduser()
        try:
            # Without a password callback, OpenSSL would ask for the passphrase on the terminal.
            context.load_cert_chain(certificate, key if broker.client_key else None, password=lambda: "")
        except (OSError, ValueError) as error:
            raise BrokerError(_certificate_error("client_certificate", broker.client_certificate, error)) from None
    return context


def _certificate_error(key: str, file: str, error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return f"NATS: {key} in brokers.toml: {file} cannot be read: {error.strerror}"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"NATS: {key} in brokers.toml: {file} does not match client_key"
    with_key = " with its unencrypted key" if key == "client_certificate" else ""
    return f"NATS: {key} in brokers.toml: {file} is not a PEM certificate{with_key}"
