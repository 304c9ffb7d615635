"""What goes wrong at a NATS broker, in words that may be shown: which broker, what it is, what mends it (pure).

A broker's own words are shown as they are, save what only its users may read.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import Final
from urllib.parse import unquote, urlsplit

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.schedulers.listening import BrokerTrouble

__all__ = ["HungUp", "address", "denial", "fault", "refusal", "without_secrets"]

_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_LONGEST: Final = 300
_KINDS: Final = {
    "user": "the user and the password",
    "token": "the token",
    "credentials": "the file of credentials",
    "nkey": "the nkey",
    "client_certificate": "the client certificate",
}
_REFUSALS: Final = ("authorization violation", "authentication timeout", "authorization timeout")
_EXPIRED: Final = ("authentication expired", "authentication revoked")
_CLIENT_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "UNKNOWN_CA")


class HungUp(BrokerTrouble):
    """The broker asked for credentials, and closed the connection before its reason was heard.

    meaning: that it refuses them, most likely.
    """

    def __init__(self, meaning: str) -> None:
        super().__init__(f"{meaning}: it hung up")
        self.meaning = meaning


def address(broker: NatsBroker) -> str:
    """Return where a broker is, without the credentials that its URL may hold."""
    return ", ".join(_bare(one.strip()) for one in broker.url.split(","))


def fault(broker: NatsBroker, error: Exception, *, after_tls: bool = False) -> str:
    """Return what an error of the connection to a broker means, and what mends it.

    after_tls: it came where the broker looks at our certificate; it may hang up before its reason is heard.
    """
    where = f"the NATS broker {address(broker)}"
    words = without_secrets(broker, _own_words(error))
    if any(one in words.lower() for one in _REFUSALS):
        return f"{refusal(broker)}: {words}"
    if any(one in words.lower() for one in _EXPIRED):
        return f"{where} does not accept {_given(broker)} of brokers.toml any more: {words}"
    if isinstance(error, ssl.SSLError):
        return f"{where} {_tls(broker, error, words)}: {words}"
    if after_tls and not isinstance(error, TimeoutError):
        return f"{where} {_certificate(broker)}: {words}"
    if isinstance(error, TimeoutError):
        return f"{where} cannot be reached: it does not answer in time"
    return f"{where} cannot be reached: {words}" if isinstance(error, OSError) else f"{where}: {words}"


def refusal(broker: NatsBroker) -> str:
    """Return what it means that a broker does not let us in, as ``fault`` begins where it says so itself."""
    return f"the NATS broker {address(broker)} {_refuses(broker)}"


def denial(broker: NatsBroker, what: str) -> str:
    """Return what a broker's refusal of a subject means. what: its words."""
    words = without_secrets(broker, what.removeprefix("nats: "))
    whom = _given(broker) or "those without credentials"
    return f"the NATS broker {address(broker)} does not let {whom} do that: {words}"


def without_secrets(broker: NatsBroker, words: str) -> str:
    """Return the words without what only the broker's users may read."""
    secrets = [broker.password, broker.token, broker.nkey]
    for one in broker.url.split(","):
        parts = urlsplit(one.strip())
        shown = (parts.password, None if parts.password else parts.username)
        secrets += [text for found in shown if found for text in (found, unquote(found))]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        words = words.replace(secret, "…")
    return words[:_LONGEST]


def _own_words(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return error.verify_message or "it cannot be verified"
        case ssl.SSLError():
            return error.reason or str(error)
        case socket.gaierror():
            return f"its name is not known ({error.strerror})"
        case OSError() if numbers := _ERRNO.findall(str(error)):
            return " / ".join(dict.fromkeys(os.strerror(int(number)) for number in numbers))
        case _:
            return str(error).removeprefix("nats: ").strip().strip("'") or type(error).__name__


def _tls(broker: NatsBroker, error: ssl.SSLError, words: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "shows a certificate that is not trusted, check url and certificate in brokers.toml"
    if any(one in words for one in _CLIENT_CERTIFICATE):
        return _certificate(broker)
    return "cannot be talked to by TLS"


def _certificate(broker: NatsBroker) -> str:
    done = "refuses the" if broker.client_certificate else "asks for a"
    return f"{done} client certificate, check client_certificate in brokers.toml"


def _refuses(broker: NatsBroker) -> str:
    given = _given(broker)
    if given:
        return f"refuses {given} of brokers.toml"
    return "asks for credentials, and brokers.toml has none for it"


def _given(broker: NatsBroker) -> str:
    """Name the kind of credentials that a broker is shown, none of it."""
    inside = urlsplit(broker.url.partition(",")[0])
    if inside.username:
        return _KINDS["user"] if inside.password else _KINDS["token"]
    return next((words for key, words in _KINDS.items() if getattr(broker, key)), "")


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
