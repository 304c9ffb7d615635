"""Which ports the platform listens on: the ones asked for, or the usual ones, or the next free ones."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final

from fnkit.errors import PlatformError

__all__ = ["API_PORT", "GATEWAY_PORT", "NATS_PORT", "TLS_PORT", "HeldPorts"]

API_PORT: Final = 8480
GATEWAY_PORT: Final = 8481
TLS_PORT: Final = 8482
NATS_PORT: Final = 8483

_TRIES: Final = 100


class HeldPorts:
    """The ports that one platform chose, and keeps until it ends.

    Between the choice and the moment at which a process of ours listens, and whenever one is started again, nobody
    listens there. The system could give such a port to any connection, and another platform that starts could
    choose it too. On Linux both are prevented: a socket that is bound and does not listen keeps the system from
    giving the port away and leaves it to our own processes, which bind as it did; a name in the abstract namespace
    of sockets, of which there is one for each set of ports, tells other platforms.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def choose(self, host: str, wanted: int | None, *, usual: int, taken: frozenset[int], flag: str) -> int:
        """Return a free port, and hold it.

        ``wanted`` as the user gave it: 0 is any free one, ``None`` the usual one or the next free one after it.
        ``taken`` are ports that are meant for another door; ``flag`` is named in errors.

        Raises:
            PlatformError: ``port-in-use``, ``port-not-allowed`` or ``address-not-here``.
        """
        if wanted is not None:
            return self._take(host, wanted, flag)
        for port in range(usual, usual + _TRIES):
            if port not in taken:
                try:
                    return self._take(host, port, flag)
                except PlatformError as error:
                    if error.code != "port-in-use":
                        raise
        raise PlatformError(
            f"No port from {usual} to {usual + _TRIES - 1} is free on {host}.",
            code="port-in-use",
            hint=f"Choose one with {flag}, or 0 for any.",
        )

    def release(self) -> None:
        """Let everybody have them."""
        while self._held:
            self._held.pop().close()

    def _take(self, host: str, port: int, flag: str) -> int:
        bound = _bind(host, port, flag)
        port = int(bound.getsockname()[1])
        if sys.platform != "linux":
            bound.close()
            return port
        name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            name.bind(f"\0fnkit-port-{host}-{port}")
        except OSError as error:
            name.close()
            bound.close()
            raise _refusal(host, port, flag, error) from None
        self._held += (bound, name)
        return port


def _bind(host: str, port: int, flag: str) -> socket.socket:
    """Bind as the servers do, so what is free here is free for them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise _refusal(host, port, flag, error) from None
    return bound


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
