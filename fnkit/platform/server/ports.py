"""Reservation of the platform's ports: the requested ones, the ones of the last start, or the next free ones."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final

from fnkit.errors import PlatformError

__all__ = ["DEFAULT_API_PORT", "DEFAULT_GATEWAY_PORT", "DEFAULT_NATS_PORT", "DEFAULT_TLS_PORT", "ReservedPorts"]

DEFAULT_API_PORT: Final = 8480
DEFAULT_GATEWAY_PORT: Final = 8481
DEFAULT_TLS_PORT: Final = 8482
DEFAULT_NATS_PORT: Final = 8483

_MAX_PORTS_TRIED: Final = 100


class ReservedPorts:
    """Reserves the ports of one platform until it stops.

    While a process starts or restarts, nothing listens on its port. The kernel could use the port for an outgoing
    connection, and another platform could choose it. On Linux, two sockets per port prevent both:

    - A TCP socket that is bound but does not listen. The kernel does not assign its port, and with SO_REUSEADDR on
      both sides the platform's process can still bind it and listen.
    - A Unix socket with a name in the abstract namespace, which is per network namespace, as ports are. Another
      platform that tries to reserve the port fails to bind the same name.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def reserve(
        self, host: str, requested: int | None, *, default: int, excluded: frozenset[int], option: str
    ) -> int:
        """Choose a free port and reserve it.

        Args:
            host: Address to bind.
            requested: The port that the user requested; 0 for any free one, ``None`` for the default.
            default: The default port; if it is in use, the next free one is taken.
            excluded: Ports that other listeners of the platform need.
            option: The command-line option, for error messages.

        Raises:
            PlatformError: ``port-in-use``, ``port-not-allowed`` or ``address-not-here``.
        """
        if requested is not None:
            return self._reserve_port(host, requested, option)
        for port in range(default, default + _MAX_PORTS_TRIED):
            if port not in excluded:
                try:
                    return self._reserve_port(host, port, option)
                except PlatformError as error:
                    if error.code != "port-in-use":
                        raise
        raise PlatformError(
            f"No port from {default} to {default + _MAX_PORTS_TRIED - 1} is free on {host}.",
            code="port-in-use",
            hint=f"Choose one with {option}, or 0 for any.",
        )

    def release(self) -> None:
        """Release all ports."""
        while self._sockets:
            self._sockets.pop().close()

    def _reserve_port(self, host: str, port: int, option: str) -> int:
        bound = _bind_socket(host, port, option)
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
            raise _bind_error(host, port, option, error) from None
        self._sockets += (bound, name)
        return port


def _bind_socket(host: str, port: int, option: str) -> socket.socket:
    """Bind with the same options as the servers, so that they can bind the same port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise _bind_error(host, port, option, error) from None
    return bound


def _bind_error(host: str, port: int, option: str, error: OSError) -> PlatformError:
    if error.errno == errno.EADDRINUSE:
        return PlatformError(
            f"Port {port} on {host} is in use by another program.",
            code="port-in-use",
            hint=f"Choose another one with {option}, or 0 for any free one.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PlatformError(
            f"This user is not allowed to use port {port}.",
            code="port-not-allowed",
            hint=f"Choose a port above 1023 with {option}.",
        )
    return PlatformError(
        f"{host} is not an address of this machine: {error.strerror}.",
        code="address-not-here",
        hint="Use --host 127.0.0.1, or an address that this machine has.",
    )
