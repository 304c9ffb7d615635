"""Errors of NATS brokers as messages for users: which broker, what happened, and how to fix it.

Text from the broker is included without secrets.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import Final
from urllib.parse import unquote, urlsplit

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.events.queues.interface import BrokerError

_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_MAX_LENGTH: Final = 300
_CREDENTIAL_NAMES: Final = {
    "user": "the user and password",
    "token": "the token",
    "credentials": "the credentials file",
    "nkey": "the nkey",
    "client_certificate": "the client certificate",
}
_AUTH_ERRORS: Final = ("authorization violation", "authentication timeout", "authorization timeout")
_EXPIRY_ERRORS: Final = ("authentication expired", "authentication revoked")
_CLIENT_CERTIFICATE_ALERTS: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "UNKNOWN_CA")


class ConnectionClosed(BrokerError):
    """The broker required credentials, and closed the connection before its reason was received.

    Attributes:
        message_prefix: The most likely meaning, that the broker rejects the credentials.
    """

    def __init__(self, message_prefix: str) -> None:
        super().__init__(f"{message_prefix}: it closed the connection")
        self.message_prefix = message_prefix


def broker_address(broker: NatsBroker) -> str:
    """Return the URLs of a broker without credentials."""
    return ", ".join(map(_strip_credentials, broker.urls))


def connection_error(broker: NatsBroker, error: Exception, *, after_tls: bool = False) -> str:
    """Return the message for an error of the connection to a broker.

    Args:
        broker: The broker.
        error: The error, of nats-py, of TLS or of the operating system.
        after_tls: Whether it occurred while the broker verified the client certificate. The broker may then close
            the connection before the reason is received.
    """
    subject = f"the NATS broker {broker_address(broker)}"
    # TLS alerts and NATS errors can only be told apart by their text.
    text = redact(broker, _error_text(error))
    if any(one in text.lower() for one in _AUTH_ERRORS):
        return f"{auth_error(broker)}: {text}"
    if any(one in text.lower() for one in _EXPIRY_ERRORS):
        return f"{subject} no longer accepts {_credentials_name(broker)} in brokers.toml: {text}"
    if isinstance(error, ssl.SSLError):
        return f"{subject} {_tls_error(broker, error, text)}: {text}"
    if after_tls and not isinstance(error, TimeoutError):
        return f"{subject} {_client_certificate_error(broker)}: {text}"
    if isinstance(error, TimeoutError):
        return f"{subject} cannot be reached: timed out"
    return f"{subject} cannot be reached: {text}" if isinstance(error, OSError) else f"{subject}: {text}"


def auth_error(broker: NatsBroker) -> str:
    """Return the message for rejected or missing credentials, without the broker's reason.

    Messages of ``connection_error`` for the same problem begin with it.
    """
    subject = f"the NATS broker {broker_address(broker)}"
    if credentials := _credentials_name(broker):
        return f"{subject} rejects {credentials} in brokers.toml"
    return f"{subject} requires credentials, but brokers.toml has none for it"


def permission_error(broker: NatsBroker, text: str) -> str:
    """Return the message for a permission violation.

    Args:
        broker: The broker.
        text: The error of the broker.
    """
    redacted = redact(broker, text.removeprefix("nats: "))
    credentials = _credentials_name(broker) or "no credentials"
    return f"the NATS broker {broker_address(broker)} does not permit this operation with {credentials}: {redacted}"


def redact(broker: NatsBroker, text: str) -> str:
    """Return the text with all secrets of the broker replaced, shortened to 300 characters."""
    secrets = [broker.password, broker.token, broker.nkey]
    for url in broker.urls:
        parts = urlsplit(url)
        userinfo = (parts.password, None if parts.password else parts.username)
        secrets += [
            encoded for secret_part in userinfo if secret_part for encoded in (secret_part, unquote(secret_part))
        ]
    # Longest first: a secret may contain another one.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text[:_MAX_LENGTH]


def _error_text(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return error.verify_message or "verification failed"
        case ssl.SSLError():
            return error.reason or str(error)
        case socket.gaierror():
            return f"cannot resolve its host name ({error.strerror})"
        # asyncio joins the errors of several addresses into one text; show each reason once.
        case OSError() if numbers := _ERRNO.findall(str(error)):
            return " / ".join(dict.fromkeys(os.strerror(int(number)) for number in numbers))
        case _:
            return str(error).removeprefix("nats: ").strip().strip("'") or type(error).__name__


def _tls_error(broker: NatsBroker, error: ssl.SSLError, text: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "presented an untrusted certificate; check url and certificate in brokers.toml"
    if any(one in text for one in _CLIENT_CERTIFICATE_ALERTS):
        return _client_certificate_error(broker)
    return "failed the TLS handshake"


def _client_certificate_error(broker: NatsBroker) -> str:
    verb = "rejects the" if broker.client_certificate else "requires a"
    return f"{verb} client certificate; check client_certificate in brokers.toml"


def _credentials_name(broker: NatsBroker) -> str:
    """Return the name of the kind of credentials that are configured, or ``""``."""
    parts = urlsplit(broker.urls[0])
    if parts.username:
        return _CREDENTIAL_NAMES["user"] if parts.password else _CREDENTIAL_NAMES["token"]
    return next((name for key, name in _CREDENTIAL_NAMES.items() if getattr(broker, key)), "")


def _strip_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
