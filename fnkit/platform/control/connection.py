"""One connection to a data plane: frames in both directions, and requests that wait for a reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from fnkit.platform.routing import (
    FRAME_LENGTH_BYTES,
    Ack,
    InstanceExited,
    DeploymentFailed,
    ControlMessage,
    DataPlaneMessage,
    DataPlaneHealthy,
    Handshake,
    DeploymentStarted,
    UpsertRoute,
    decode_data_plane_message,
    encode_frame,
)

__all__ = ["DataPlaneConnection", "ConnectionLost"]

_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
_logger = logging.getLogger(__name__)


class ConnectionLost:
    """The connection closed before the data plane reported a result."""


_StartResult: TypeAlias = DeploymentStarted | DeploymentFailed | ConnectionLost


class DataPlaneConnection:
    """A connection to a data plane. Not thread-safe.

    Attributes:
        hello: The data plane's first message, ``None`` until it arrives.
        healthy: Whether the data plane reported that all instances required by ``min_scale`` run.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._pending_acks: dict[int, asyncio.Future[None]] = {}
        self._pending_starts: dict[tuple[str, int], asyncio.Future[_StartResult]] = {}
        self._closed = False
        self.hello: Handshake | None = None
        self.healthy = False

    def send(self, message: ControlMessage) -> None:
        """Write a message. Does nothing on a closed connection."""
        if not self._closed:
            self._writer.write(encode_frame(message))

    async def send_and_wait_for_acks(self, messages: Sequence[ControlMessage], seconds: float) -> bool:
        """Send messages and wait for their acks.

        Args:
            messages: Messages with distinct versions.
            seconds: Longest wait, in seconds of real time.

        Returns:
            Whether all acks arrived in time. Also true if the connection closed meanwhile: the next data plane
            receives the changes in its snapshot, so there is nothing left to wait for.
        """
        if self._closed:
            return False
        loop = asyncio.get_running_loop()
        futures = {message.version: loop.create_future() for message in messages}
        self._pending_acks.update(futures)
        for message in messages:
            self.send(message)
        try:
            _, late = await asyncio.wait(futures.values(), timeout=seconds)
            return not late
        finally:
            for version in futures:
                self._pending_acks.pop(version, None)

    async def start(self, message: UpsertRoute) -> _StartResult:
        """Send a deployment and wait for its first instance.

        A newer generation of the same function replaces this one in the data plane, which then never reports a
        result: the call returns only when the connection closes, or is cancelled by the caller.
        """
        if self._closed:
            return ConnectionLost()
        key = (message.route.function_id, message.route.generation)
        future: asyncio.Future[_StartResult] = asyncio.get_running_loop().create_future()
        self._pending_starts[key] = future
        self.send(message)
        try:
            return await future
        finally:
            # A second call for the same generation may have replaced the future.
            if self._pending_starts.get(key) is future:
                del self._pending_starts[key]

    async def read_messages(self) -> None:
        """Read and handle messages until the connection closes or a message is invalid."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(FRAME_LENGTH_BYTES), "big")
                if length > _MAX_FRAME_BYTES:
                    _logger.error("Closing the connection to the data plane: received a frame of %d bytes.", length)
                    return
                self._handle(decode_data_plane_message(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except msgspec.MsgspecError as error:
            _logger.warning("Closing the connection to the data plane: received an invalid message: %s", error)

    def close(self) -> None:
        """Close the connection and wake all waiters: acks count as received, starts return ``ConnectionLost``."""
        self._closed = True
        self._writer.close()
        for ack in self._pending_acks.values():
            if not ack.done():
                ack.set_result(None)
        for start in self._pending_starts.values():
            if not start.done():
                start.set_result(ConnectionLost())

    def _handle(self, message: DataPlaneMessage) -> None:
        match message:
            case Handshake():
                self.hello = message
            case DataPlaneHealthy():
                self.healthy = True
            case Ack(version=version):
                if (ack := self._pending_acks.get(version)) is not None and not ack.done():
                    ack.set_result(None)
            case DeploymentStarted() | DeploymentFailed():
                start = self._pending_starts.get((message.function_id, message.generation))
                if start is not None and not start.done():
                    start.set_result(message)
            case InstanceExited(function_id=function_id, reason=reason):
                _logger.info("An instance of function %s exited: %s", function_id, reason)
