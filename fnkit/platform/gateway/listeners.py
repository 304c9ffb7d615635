"""The gateway's listeners: a TCP port and a TLS port for clients, Unix sockets for control and for deliveries."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from fnkit.platform.gateway.connection import HttpConnection
from fnkit.platform.gateway.delivery_line import DeliveryConnection
from fnkit.platform.gateway.gateway import Gateway

__all__ = ["Listener", "open_listeners"]

_BACKLOG: Final = 2048


class Listener(Protocol):
    """A listening socket."""

    def close(self) -> None:
        """Stop accepting connections."""


async def open_listeners(
    gateway: Gateway, host: str, port: int, private_socket: Path, delivery_socket: Path
) -> list[Listener]:
    """Open the plain HTTP port, the private socket and the delivery socket.

    Args:
        gateway: Serves the connections.
        host: Address of the port.
        port: The TCP port.
        private_socket: Path of the socket for requests of control, which need no token.
        delivery_socket: Path of the socket for deliveries.

    Raises:
        OSError: The port is in use, or the directory of the sockets does not exist.
    """
    loop = asyncio.get_running_loop()
    public = await loop.create_server(
        lambda: HttpConnection(gateway, is_private=False), host, port, backlog=_BACKLOG, reuse_address=True
    )
    private = await _open_unix_listener(lambda: HttpConnection(gateway, is_private=True), private_socket)
    deliveries = await _open_unix_listener(lambda: DeliveryConnection(gateway), delivery_socket)
    return [public, private, deliveries]


async def _open_unix_listener(protocol_factory: Callable[[], asyncio.Protocol], path: Path) -> asyncio.Server:
    """Listen on a Unix socket of mode 0600."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  (one call on a local folder, before anything is served)
    umask = os.umask(0o177)  # set before bind(): with a later chmod the socket would be open to others for a moment
    try:
        return await asyncio.get_running_loop().create_unix_server(protocol_factory, str(path), backlog=_BACKLOG)
    finally:
        os.umask(umask)
