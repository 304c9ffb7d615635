"""The gateway's doors: a TCP port for everybody; Unix sockets for the platform itself, and for its deliveries."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from fnkit.platform.gateway.connection import ClientConnection
from fnkit.platform.gateway.delivery_line import DeliveryLine
from fnkit.platform.gateway.gateway import Gateway

__all__ = ["Door", "open_doors"]

_BACKLOG: Final = 2048


class Door(Protocol):
    """Where clients come in."""

    def close(self) -> None:
        """Let nobody in any more."""


async def open_doors(
    gateway: Gateway, host: str, port: int, private_socket: Path, delivery_socket: Path
) -> list[Door]:
    """Listen. ``OSError`` when the port is taken or the sockets' folder is not there."""
    loop = asyncio.get_running_loop()
    public = await loop.create_server(
        lambda: ClientConnection(gateway, private=False), host, port, backlog=_BACKLOG, reuse_address=True
    )
    private = await _open_private(lambda: ClientConnection(gateway, private=True), private_socket)
    deliveries = await _open_private(lambda: DeliveryLine(gateway), delivery_socket)
    return [public, private, deliveries]


async def _open_private(protocol: Callable[[], asyncio.Protocol], path: Path) -> asyncio.Server:
    """Listen on a socket that nobody but this user may connect to."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  (one call on a local folder, before anything is served)
    umask = os.umask(0o177)
    try:
        return await asyncio.get_running_loop().create_unix_server(protocol, str(path), backlog=_BACKLOG)
    finally:
        os.umask(umask)
