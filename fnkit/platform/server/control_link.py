"""The data plane's client of control: keeps a connection, applies the messages of control and sends reports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Protocol, assert_never

import msgspec

from fnkit.platform import routing
from fnkit.platform.routing import FromControl, FromDataPlane

__all__ = ["Applier", "ControlLink"]

_BACKOFF_FIRST: Final = 0.05
_BACKOFF_MAX: Final = 1.0
_FRAME_MAX: Final = 256 * 1024 * 1024
_log = logging.getLogger(__name__)


class Applier(Protocol):
    """Applies the messages of control. A message is acknowledged when its method has returned."""

    def apply_snapshot(self, snapshot: routing.Snapshot) -> None:
        """Replace the complete state."""

    def apply_upsert(self, upsert: routing.Upsert) -> None:
        """Start a deployment."""

    def apply_remove(self, remove: routing.Remove) -> None:
        """Remove a function."""

    def apply_hosts(self, changed: routing.Hosts) -> None:
        """Replace the host names of a function."""

    def apply_credentials(self, changed: routing.CredentialsChanged) -> None:
        """Update the accepted credentials."""

    def apply_clock(self, changed: routing.ClockChanged) -> None:
        """Set the clock."""


class ControlLink:
    """Connects to control, and reconnects with backoff. Lives on one event loop.

    Reports made while disconnected are dropped: the snapshot that follows a connect makes them irrelevant.

    Args:
        socket_path: Unix socket on which control listens.
        handshake: Returns the first message of a connection.
        handler: Applies the messages of control.
    """

    def __init__(self, socket_path: str, hello: Callable[[], routing.Hello], applier: Applier) -> None:
        self._path = socket_path
        self._hello = hello
        self._applier = applier
        self._writer: asyncio.StreamWriter | None = None

    def report(self, message: FromDataPlane) -> None:
        """Send a message, or drop it while disconnected."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(routing.frame(message))

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        delay = _BACKOFF_FIRST
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(delay)
                delay = min(_BACKOFF_MAX, delay * 2)
                continue
            delay = _BACKOFF_FIRST
            self._writer = writer
            self.report(self._hello())
            try:
                await self._listen(reader)
            except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
                _log.warning("lost the connection to control (%s); still serving", type(error).__name__)
            finally:
                self._writer = None
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(delay)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(routing.LENGTH_BYTES), "big")
            if length > _FRAME_MAX:
                raise msgspec.DecodeError("the frame is too long")
            message = routing.decode_from_control(await reader.readexactly(length))
            self._apply(message)
            self.report(routing.Ack(version=message.version))

    def _apply(self, message: FromControl) -> None:
        match message:
            case routing.Snapshot():
                self._applier.apply_snapshot(message)
            case routing.Upsert():
                self._applier.apply_upsert(message)
            case routing.Remove():
                self._applier.apply_remove(message)
            case routing.Hosts():
                self._applier.apply_hosts(message)
            case routing.CredentialsChanged():
                self._applier.apply_credentials(message)
            case routing.ClockChanged():
                self._applier.apply_clock(message)
            case _:
                assert_never(message)
