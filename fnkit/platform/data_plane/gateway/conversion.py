"""Converts large bodies in a process of its own: to events, and from the responses of workers.

Bodies of up to 64 KiB are converted where they are needed, in a few milliseconds at most. The process starts with
the first large body and ends when there has been none for a while, so that its memory is given back. It converts
one body at a time, the smallest first. The event loop only moves pieces of at most one read.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fnkit.contract.invocation.response import Headers
from fnkit.platform.data_plane.body_buffer import BodyBuffer, BodyMemory
from fnkit.platform.data_plane.gateway.conversion_process import (
    FRAME,
    EncodedText,
    EncodeText,
    Job,
    MappedHead,
    MapResponse,
    OutOfMemory,
    ReplaceInvalidText,
    Result,
)
from fnkit.platform.data_plane.helper_process import start_helper
from fnkit.platform.data_plane.interface import ResponseHeaders

_PROGRAM: Final = "fnkit.platform.data_plane.gateway.conversion_process"
_IDLE_SECONDS: Final = 10.0
_TIMEOUT: Final = 60.0
_READ_BYTES: Final = 64 * 1024
_result_decoder: Final[msgspec.msgpack.Decoder[Result]] = msgspec.msgpack.Decoder(Result)


class ConversionError(Exception):
    """A body could not be converted. The message states the reason."""


@dataclass(frozen=True, slots=True)
class LargeEvent:
    """A request with a large body for a worker, before its conversion.

    Attributes:
        before: What precedes the body's text: JSON, or the head of a native request.
        body: The body.
        after: The JSON after the body's text.
        is_native: Whether it is a native request, with the body as it is.
    """

    before: bytes
    body: BodyBuffer
    after: bytes
    is_native: bool = False


@dataclass(order=True, slots=True)
class _Conversion:
    size: int
    number: int
    job: Job = field(compare=False)
    body: BodyBuffer = field(compare=False)
    output: BodyBuffer = field(compare=False)
    result: asyncio.Future[Result] = field(compare=False)


class _Process:
    """The running program, at the other end of a socket."""

    def __init__(self) -> None:
        self._process, self.socket = start_helper(_PROGRAM)
        self.pid = self._process.pid
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(sock=self.socket)
        return self._streams

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._process.kill()

    def wait(self) -> None:
        self._process.wait()


class BodyConverter:
    """Converts large bodies. Lives on one event loop.

    Args:
        memory: Counts the results.
        idle_seconds: How long its process waits for the next body.
    """

    def __init__(self, memory: BodyMemory, *, idle_seconds: float = _IDLE_SECONDS) -> None:
        self.memory = memory
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._waiting: list[_Conversion] = []
        self._task: asyncio.Task[None] | None = None
        self._process: _Process | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The process, if one runs."""
        return self._process.pid if self._process is not None else None

    async def encode_event(self, event: LargeEvent) -> BodyBuffer:
        """Return the request as its worker gets it.

        Raises:
            ConversionError: The process ended, or needed too much time or memory.
            BodyMemoryExhausted: There is no memory for the result.
        """
        output = BodyBuffer(self.memory)
        output.append(event.before)
        if event.is_native:
            await self._convert(ReplaceInvalidText(), event.body, output)
            return output
        result = await self._convert(EncodeText(), event.body, output)
        is_base64 = isinstance(result, EncodedText) and result.is_base64
        output.append(b',"isBase64Encoded":true' + event.after if is_base64 else event.after)
        return output

    async def map_response(
        self, status: int, headers: ResponseHeaders, body: BodyBuffer
    ) -> tuple[int, Headers, BodyBuffer]:
        """Return the status, the headers and the body of the client's response.

        Raises:
            ConversionError: The process ended, or needed too much time or memory.
            BodyMemoryExhausted: There is no memory for the result.
        """
        output = BodyBuffer(self.memory)
        result = await self._convert(MapResponse(status, headers), body, output)
        if not isinstance(result, MappedHead):
            raise ConversionError("the body could not be converted: the process for it gave another result")
        return result.status, result.headers, output

    def close(self) -> None:
        """Kill the process. Conversions in progress never end."""
        if self._task is not None:
            self._task.cancel()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    async def _convert(self, job: Job, body: BodyBuffer, output: BodyBuffer) -> Result:
        result: asyncio.Future[Result] = self._loop.create_future()
        conversion = _Conversion(body.size, next(self._numbers), job, body, output, result)
        heapq.heappush(self._waiting, conversion)
        if self._task is None:
            self._task = self._loop.create_task(self._work())
        try:
            return await result
        finally:
            if conversion in self._waiting:  # cancelled before its turn
                self._waiting.remove(conversion)
                heapq.heapify(self._waiting)
                body.clear()

    async def _work(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        while self._waiting:
            conversion = heapq.heappop(self._waiting)
            try:
                async with asyncio.timeout(_TIMEOUT):
                    result = await self._exchange(conversion)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is raised where the result is awaited)
                self._end_process()  # what it sends next may belong to this conversion
                # Exceptions refer to them, by their tracebacks, until the next garbage collection.
                conversion.body.clear()
                conversion.output.clear()
                if isinstance(error, (OSError, EOFError, TimeoutError)):
                    error = ConversionError("the body could not be converted: the process for it ended")
                if not conversion.result.done():
                    conversion.result.set_exception(error)
            else:
                if not conversion.result.done():
                    conversion.result.set_result(result)
            del conversion  # its body takes memory
        self._task = None
        self._idle_timer = self._loop.call_later(self._idle_seconds, self._on_idle)

    def _on_idle(self) -> None:
        self._end_process()
        self.memory.give_back()

    async def _exchange(self, conversion: _Conversion) -> Result:
        if self._process is not None and self._process.has_ended:
            self._end_process()
        if self._process is None:
            self._process = _Process()
        reader, writer = await self._process.open_streams()
        document = msgspec.msgpack.encode(conversion.job)
        writer.write(FRAME.pack(len(document), conversion.body.size) + document)
        for piece in conversion.body.drain():
            writer.write(piece)
            await writer.drain()
        document_size, body_size = FRAME.unpack(await reader.readexactly(FRAME.size))
        result = _result_decoder.decode(await reader.readexactly(document_size))
        while body_size:
            piece = await reader.read(min(body_size, _READ_BYTES))
            if not piece:
                raise EOFError
            body_size -= len(piece)
            conversion.output.append(piece)
        if isinstance(result, OutOfMemory):
            raise ConversionError("the body could not be converted: it takes too much memory")
        return result

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self._loop.run_in_executor(None, process.wait)  # the kernel takes a while to free its memory
