"""What a NATS broker is shown before it lets us in: keys, credentials, certificates. Read at each connection.

The files are read here, not by nats-py: it reads a credentials file without a JWT for ever, and what it finds wrong
with a key is an error of no kind that it names.
"""

from __future__ import annotations

import ssl
from base64 import b32decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fnkit.platform.brokers.credentials import CredentialsUnreadable, read_credentials, read_seed
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.schedulers.listening import BrokerTrouble

__all__ = ["access", "is_by_tls"]

_TLS_KEYS: Final = ("certificate", "client_certificate")


def access(broker: NatsBroker) -> dict[str, Any]:
    """Return nats-py's arguments for a broker's credentials and certificates.

    Raises:
        BrokerTrouble: a file is not there, or does not hold what it should.
    """
    options: dict[str, Any] = {"user": broker.user, "password": broker.password, "token": broker.token}
    try:
        if broker.credentials:
            jwt, seed = read_credentials(Path(broker.credentials).expanduser())
            options |= {
                "user_jwt_cb": lambda: bytearray(jwt.encode()),
                "signature_cb": _signing(seed, "credentials"),
            }
        if broker.nkey:
            seed = read_seed(broker.nkey)
            _signing(seed, "nkey")
            options["nkeys_seed_str"] = seed
    except CredentialsUnreadable as error:
        raise BrokerTrouble(f"NATS: {error}; check brokers.toml") from None
    if any(getattr(broker, key) for key in _TLS_KEYS):
        options["tls"] = _context(broker)
    return {name: value for name, value in options.items() if value}


def is_by_tls(broker: NatsBroker) -> bool:
    """Whether nothing may be said to that broker before TLS hides it."""
    schemes = {one.strip().partition(":")[0] for one in broker.url.split(",")}
    return "tls" in schemes or ("nats" in schemes and any(getattr(broker, key) for key in _TLS_KEYS))


def _signing(seed: str, key: str) -> Callable[[str], bytes]:
    """Return what signs a broker's nonce.

    Raises:
        BrokerTrouble: that is no seed, or there is nothing to sign with.
    """
    try:
        import nkeys
    except ImportError:
        raise BrokerTrouble(
            f"NATS: {key} needs nkeys: pip install 'fnkit[queues]', then start the platform again"
        ) from None

    def signed(nonce: str) -> bytes:
        return b64encode(nkeys.from_seed(bytearray(seed.encode())).sign(nonce.encode()))

    try:
        signed("")
        decoded = b32decode(seed + "=" * (-len(seed) % 8))
        is_whole = nkeys.crc16(decoded[:-2]).to_bytes(2, "little") == decoded[-2:]  # which nkeys does not check
    except (nkeys.NkeysError, ValueError):
        is_whole = False
    if not is_whole:
        raise BrokerTrouble(f"NATS: {key} in brokers.toml holds a seed that is not whole")
    return signed


def _context(broker: NatsBroker) -> ssl.SSLContext:
    """Return how the broker's certificate is checked, and which one it is shown.

    Raises:
        BrokerTrouble: a file is not there, or holds no certificate, or not its key.
    """
    authority = str(Path(broker.certificate).expanduser()) if broker.certificate else None
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise BrokerTrouble(_unreadable("certificate", broker.certificate, error)) from None
    if broker.client_certificate:
        certificate, key = Path(broker.client_certificate).expanduser(), Path(broker.client_key).expanduser()
        try:
            # Nobody is there to be asked for a passphrase.
            context.load_cert_chain(certificate, key if broker.client_key else None, password=lambda: "")
        except (OSError, ValueError) as error:
            raise BrokerTrouble(_unreadable("client_certificate", broker.client_certificate, error)) from None
    return context


def _unreadable(key: str, file: str, error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return f"NATS: {key} in brokers.toml: {file} cannot be read: {error.strerror}"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"NATS: {key} in brokers.toml: {file} is not the certificate of client_key"
    also = " with its key, without a passphrase" if key == "client_certificate" else ""
    return f"NATS: {key} in brokers.toml: {file} holds no certificate in PEM{also}"
