"""The gateway's doors: a TCP port for everybody, a private Unix socket for the platform's own schedulers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final, Protocol

from fnkit.platform.gateway.connection import ClientConnection
from fnkit.platform.gateway.gateway import Gateway

__all__ = ["Door", "open_doors"]

_BACKLOG: Final = 2048


class Door(Protocol):
    """Where clients come in."""

    def close(self) -> None:
        """Let nobody in any more."""


async def open_doors(gateway: Gateway, host: str, port: int, private_socket: Path) -> list[Door]:
    """Listen. ``OSError`` when the port is taken or the socket's folder is not there."""
    loop = asyncio.get_running_loop()
    public = await loop.create_server(
        lambda: ClientConnection(gateway, private=False), host, port, backlog=_BACKLOG, reuse_address=True
    )
    with contextlib.suppress(FileNotFoundError):
        os.unlink(private_socket)  # noqa: PTH108  (one call on a local folder, before anything is served)
    umask = os.umask(0o177)
    try:
        private = await loop.create_unix_server(
            lambda: ClientConnection(gateway, private=True), str(private_socket), backlog=_BACKLOG
        )
    finally:
        os.umask(umask)
    return [public, private]
