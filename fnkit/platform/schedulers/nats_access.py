"""Authentication and TLS options for connections to NATS brokers, read again for each connection.

The credential files are read here rather than by nats-py, which never returns from reading a file without a JWT,
and raises undocumented exceptions for malformed keys.
"""

from __future__ import annotations

import ssl
from base64 import b32decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fnkit.platform.brokers.credentials import CredentialsUnreadable, read_credentials, read_seed
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.schedulers.listening import BrokerError

__all__ = ["connect_options", "requires_tls"]

_CERTIFICATE_KEYS: Final = ("certificate", "client_certificate")


def connect_options(broker: NatsBroker) -> dict[str, Any]:
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


def requires_tls(broker: NatsBroker) -> bool:
    """Return whether nothing may be sent to the broker before the TLS handshake."""
    schemes = {one.strip().partition(":")[0] for one in broker.url.split(",")}
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
            f"NATS: {key} requires nkeys: pip install 'fnkit[queues]', then start the platform again"
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
