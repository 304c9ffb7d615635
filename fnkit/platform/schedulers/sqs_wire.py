"""HTTP/1.1 connections to one SQS service, kept alive. A long poll occupies one connection and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

__all__ = ["SqsResponse", "ConnectionPool"]

_CONNECT_TIMEOUT: Final = 5.0
_MAX_IDLE: Final = 64
_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024  # more than ten messages of 1 MiB, escaped


class SqsResponse:
    """A response.

    Attributes:
        status: The HTTP status.
        body: The body.
        query_error: Error code of the older query protocol, which SQS sends in a header.
    """

    __slots__ = ("body", "query_error", "status")

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.query_error = ""


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time. The ``on_…`` methods are callbacks of httptools."""

    def __init__(self) -> None:
        self.is_reusable = True
        self.received_data = False  # since the last request
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response = SqsResponse()
        self._body_chunks: list[bytes] = []
        self._body_size = 0
        self._result: asyncio.Future[SqsResponse] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # transports of uvloop are not subclasses

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_reusable = False
        self._fail("the connection was closed")

    def data_received(self, data: bytes) -> None:
        self.received_data = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("the response is not HTTP")
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amzn-query-error":
            self._response.query_error = value.decode("latin-1").partition(";")[0]

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > _MAX_RESPONSE_BYTES:
            self._fail("the response is too large")
            self.close()
        else:
            self._body_chunks.append(body)

    def on_message_complete(self) -> None:
        self.is_reusable = self.is_reusable and self._parser.should_keep_alive()
        self._response.status = self._parser.get_status_code()
        self._response.body = b"".join(self._body_chunks)
        if self._result is not None and not self._result.done():
            self._result.set_result(self._response)

    async def send(self, request: bytes) -> SqsResponse:
        """Send a request and return its response.

        Raises:
            ConnectionError: The connection broke.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection was closed")
        self._response, self._body_chunks, self._body_size, self.received_data = SqsResponse(), [], 0, False
        self._result = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._result

    def close(self) -> None:
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, reason: str) -> None:
        if self._result is not None and not self._result.done():
            self._result.set_exception(ConnectionError(reason))


class ConnectionPool:
    """The connections to one endpoint."""

    def __init__(self, endpoint: str, ssl_context: ssl.SSLContext | None) -> None:
        """Create a pool without connections.

        Args:
            endpoint: URL of the service.
            ssl_context: The TLS context; ``None`` without TLS.
        """
        parts = urlsplit(endpoint)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._ssl_context = ssl_context
        self._idle: list[_Connection] = []

    async def request(self, request: bytes, timeout_seconds: float) -> SqsResponse:
        """Send a request and return its response.

        A request that failed on a kept connection before the first byte of the response is sent again on another
        one: the service had closed the connection while it was idle.

        Args:
            request: The request, complete with headers.
            timeout_seconds: Seconds for the response, without connecting.

        Raises:
            ConnectionError: The connection broke.
            OSError: No connection could be opened.
            TimeoutError: Connecting, or the response, took too long.
        """
        while self._idle:
            connection = self._idle.pop()
            with contextlib.suppress(_StaleConnection):
                return await self._send(connection, request, timeout_seconds, is_fresh=False)
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._ssl_context
            )
        return await self._send(connection, request, timeout_seconds, is_fresh=True)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _send(
        self, connection: _Connection, request: bytes, timeout_seconds: float, *, is_fresh: bool
    ) -> SqsResponse:
        response = None
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await connection.send(request)
        except ConnectionError:
            if is_fresh or connection.received_data:
                raise
            raise _StaleConnection from None  # closed by the service while it was idle
        finally:
            if response is None or not connection.is_reusable or len(self._idle) >= _MAX_IDLE:
                connection.close()
            else:
                self._idle.append(connection)
        return response


class _StaleConnection(Exception):
    """A kept connection was already closed."""
