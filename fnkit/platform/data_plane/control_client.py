"""The data plane's client of control: keeps a connection, applies the messages of control and sends reports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.platform.model import routing
from fnkit.platform.model.routing import ControlMessage, DataPlaneMessage

_MIN_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 1.0
_MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
_log = logging.getLogger(__name__)


class ControlClient:
    """Connects to control, and reconnects with backoff. Lives on one event loop.

    Reports made while disconnected are dropped: the snapshot that follows a connect makes them irrelevant.

    Args:
        socket_path: Unix socket on which control listens.
        handshake: Returns the first message of a connection.
        apply: Applies a message of control, which is acknowledged when this has returned.
    """

    def __init__(
        self,
        socket_path: str,
        handshake: Callable[[], routing.Handshake],
        apply: Callable[[ControlMessage], None],
    ) -> None:
        self._socket_path = socket_path
        self._handshake = handshake
        self._apply = apply
        self._writer: asyncio.StreamWriter | None = None

    def report(self, message: DataPlaneMessage) -> None:
        """Send a message, or drop it while disconnected."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(routing.encode_frame(message))

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        delay = _MIN_BACKOFF
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket_path)
            except OSError:
                await asyncio.sleep(delay)
                delay = min(_MAX_BACKOFF, delay * 2)
                continue
            delay = _MIN_BACKOFF
            self._writer = writer
            self.report(self._handshake())
            try:
                await self._receive(reader)
            except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
                _log.warning("lost the connection to control (%s); still serving", type(error).__name__)
            finally:
                self._writer = None
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(delay)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(routing.FRAME_LENGTH_BYTES), "big")
            if length > _MAX_FRAME_BYTES:
                raise msgspec.DecodeError("the frame is too long")
            message = routing.decode_control_message(await reader.readexactly(length))
            self._apply(message)
            self.report(routing.Ack(version=message.version))
