"""One data plane's connection: what was sent, and who waits for which answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from fnkit.platform.routing import (
    LENGTH_BYTES,
    Ack,
    Exited,
    Failed,
    FromControl,
    FromDataPlane,
    Healthy,
    Hello,
    Started,
    Upsert,
    decode_from_data_plane,
    frame,
)

__all__ = ["Connection", "Lost"]

_MAX_FRAME: Final = 16 * 1024 * 1024
_logger = logging.getLogger(__name__)


class Lost:
    """The connection ended before the answer came."""


_Outcome: TypeAlias = Started | Failed | Lost


class Connection:
    """Frames out, frames in. Not for use from several threads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._starts: dict[tuple[str, int], asyncio.Future[_Outcome]] = {}
        self._closed = False
        self.hello: Hello | None = None
        self.healthy = False

    def send(self, message: FromControl) -> None:
        """Put a message on its way."""
        if not self._closed:
            self._writer.write(frame(message))

    async def acked(self, messages: Sequence[FromControl], seconds: float) -> bool:
        """Send messages; whether all of them were acked in that many seconds of real time."""
        if self._closed:
            return False
        loop = asyncio.get_running_loop()
        waiting = {message.version: loop.create_future() for message in messages}
        self._acks.update(waiting)
        for message in messages:
            self.send(message)
        try:
            _, late = await asyncio.wait(waiting.values(), timeout=seconds)
            return not late
        finally:
            for version in waiting:
                self._acks.pop(version, None)

    async def start(self, message: Upsert) -> _Outcome:
        """Send a deployment and wait for what becomes of it."""
        if self._closed:
            return Lost()
        key = (message.route.function_id, message.route.generation)
        future: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._starts[key] = future
        self.send(message)
        try:
            return await future
        finally:
            if self._starts.get(key) is future:
                del self._starts[key]

    async def listen(self) -> None:
        """Read until the data plane goes, or says something that is not ours."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
                if length > _MAX_FRAME:
                    _logger.error("The data plane sent a frame of %d bytes.", length)
                    return
                self._received(decode_from_data_plane(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except msgspec.MsgspecError as error:
            _logger.warning("The data plane sent what is not a message: %s", error)

    def close(self) -> None:
        """End it; everyone who waits for an answer learns so."""
        self._closed = True
        self._writer.close()
        for ack in self._acks.values():
            if not ack.done():
                ack.set_result(None)
        for start in self._starts.values():
            if not start.done():
                start.set_result(Lost())

    def _received(self, message: FromDataPlane) -> None:
        match message:
            case Hello():
                self.hello = message
            case Healthy():
                self.healthy = True
            case Ack(version=version):
                if (ack := self._acks.get(version)) is not None and not ack.done():
                    ack.set_result(None)
            case Started() | Failed():
                start = self._starts.get((message.function_id, message.generation))
                if start is not None and not start.done():
                    start.set_result(message)
            case Exited(function_id=function_id, reason=reason):
                _logger.info("An instance of %s ended: %s", function_id, reason)
