"""HTTP/1.1 to one SQS service, over connections that are kept. Lives on one event loop.

A request that waits at the service holds a connection and nothing else: no thread, and no turn of the interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

__all__ = ["Answer", "Wires"]

_CONNECT_SECONDS: Final = 5.0
_IDLE_KEPT: Final = 64
_LARGEST_ANSWER: Final = 64 * 1024 * 1024  # ten messages of a megabyte, escaped, are less


class Answer:
    """What came back. query_error: the older name of an error, which SQS sends in a header."""

    __slots__ = ("body", "query_error", "status")

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.query_error = ""


class _Wire(asyncio.Protocol):
    """One connection, one request at a time. Methods with ``on_`` are httptools' names."""

    def __init__(self) -> None:
        self.is_reusable = True
        self.was_heard = False  # a byte of the answer came
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer()
        self._parts: list[bytes] = []
        self._size = 0
        self._done: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_reusable = False
        self._fail("the connection was closed")

    def data_received(self, data: bytes) -> None:
        self.was_heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("what came is no HTTP")
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amzn-query-error":
            self._answer.query_error = value.decode("latin-1").partition(";")[0]

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > _LARGEST_ANSWER:
            self._fail("its answer is too large")
            self.close()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        self.is_reusable = self.is_reusable and self._parser.should_keep_alive()
        self._answer.status = self._parser.get_status_code()
        self._answer.body = b"".join(self._parts)
        if self._done is not None and not self._done.done():
            self._done.set_result(self._answer)

    async def ask(self, request: bytes) -> Answer:
        """Send, and return the answer; ``ConnectionError`` where that breaks."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection was closed")
        self._answer, self._parts, self._size, self.was_heard = Answer(), [], 0, False
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._done

    def close(self) -> None:
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, why: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError(why))


class Wires:
    """The connections to one endpoint. trust: the authorities of its certificate; ``None`` without TLS."""

    def __init__(self, endpoint: str, trust: ssl.SSLContext | None) -> None:
        parts = urlsplit(endpoint)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._trust = trust
        self._idle: list[_Wire] = []

    async def exchange(self, request: bytes, seconds: float) -> Answer:
        """Return the answer to a request, within so many seconds.

        Raises:
            ConnectionError: it broke. OSError: there is no connection. TimeoutError: neither in time.
        """
        while self._idle:
            wire = self._idle.pop()
            with contextlib.suppress(_Stale):
                return await self._asked(wire, request, seconds, is_fresh=False)
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, wire = await asyncio.get_running_loop().create_connection(
                _Wire, self._host, self._port, ssl=self._trust
            )
        return await self._asked(wire, request, seconds, is_fresh=True)

    def close(self) -> None:
        """Let go of what is kept."""
        while self._idle:
            self._idle.pop().close()

    async def _asked(self, wire: _Wire, request: bytes, seconds: float, *, is_fresh: bool) -> Answer:
        answer = None
        try:
            async with asyncio.timeout(seconds):
                answer = await wire.ask(request)
        except ConnectionError:
            if is_fresh or wire.was_heard:
                raise
            raise _Stale from None  # the other end had closed it while nobody asked
        finally:
            if answer is None or not wire.is_reusable or len(self._idle) >= _IDLE_KEPT:
                wire.close()
            else:
                self._idle.append(wire)
        return answer


class _Stale(Exception):
    """A kept connection was closed already."""
