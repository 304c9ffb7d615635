"""Which ports the platform listens on: the ones asked for, or the usual ones, or the next free ones."""

from __future__ import annotations

import errno
import socket
from typing import Final

from fnkit.errors import PlatformError

__all__ = ["API_PORT", "GATEWAY_PORT", "NATS_PORT", "TLS_PORT", "choose_port"]

API_PORT: Final = 8480
GATEWAY_PORT: Final = 8481
TLS_PORT: Final = 8482
NATS_PORT: Final = 8483

_TRIES: Final = 100


def choose_port(host: str, wanted: int | None, *, usual: int, taken: frozenset[int], flag: str) -> int:
    """Return a free port.

    ``wanted`` as the user gave it: 0 is any free one, ``None`` the usual one or the next free one after it.
    ``taken`` are ports that this platform gave away a moment ago; ``flag`` is named in errors.

    Raises:
        PlatformError: ``port-in-use``, ``port-not-allowed`` or ``address-not-here``.
    """
    if wanted is not None:
        return _bind(host, wanted, flag)
    for port in range(usual, usual + _TRIES):
        if port not in taken and _free(host, port):
            return port
    raise PlatformError(
        f"No port from {usual} to {usual + _TRIES - 1} is free on {host}.",
        code="port-in-use",
        hint=f"Choose one with {flag}, or 0 for any.",
    )


def _free(host: str, port: int) -> bool:
    try:
        _bind(host, port, "")
    except PlatformError as error:
        if error.code == "port-in-use":
            return False
        raise
    return True


def _bind(host: str, port: int, flag: str) -> int:
    """Bind and let go. The servers bind the way this does, so what is free here is free for them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _refusal(host, port, flag, error) from None
        return int(probe.getsockname()[1])


def _refusal(host: str, port: int, flag: str, error: OSError) -> PlatformError:
    if error.errno == errno.EADDRINUSE:
        return PlatformError(
            f"Port {port} on {host} is in use by another program.",
            code="port-in-use",
            hint=f"Choose another one with {flag}, or 0 for any free one.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PlatformError(
            f"Port {port} may not be used by this user.",
            code="port-not-allowed",
            hint=f"Choose one above 1023 with {flag}.",
        )
    return PlatformError(
        f"{host} is not an address of this machine: {error.strerror}.",
        code="address-not-here",
        hint="Use --host 127.0.0.1, or an address that this machine has.",
    )
