"""Client of an SQS service with the JSON protocol, shared by all triggers that use the same service and keys.

botocore only signs requests. boto3's client blocks and would need threads, which reaches a fifth of the throughput
(``docs/decisions/sqs-without-boto3.md``). Retries are left to the callers, which have different limits. Connections
are HTTP/1.1 and kept alive: a long poll occupies one connection and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from fnkit.platform.control.events.queues.sqs.endpoint import SqsClientConfig
from fnkit.platform.control.events.queues.sqs.errors import (
    SqsRequestRejected,
    SqsUnavailable,
    error_from_response,
    is_transient,
)

MAX_POLL_SECONDS: Final = 20
"""The longest wait that SQS allows for ``ReceiveMessage``."""

_CONNECT_TIMEOUT: Final = 5.0
_RESPONSE_TIMEOUT: Final = 10.0  # added to the wait of a long poll
_MAX_IDLE: Final = 64
_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024  # more than ten messages of 1 MiB, escaped
_OK: Final = 200


class SqsClients:
    """The clients of this process, one per service and pair of keys, with reference counts."""

    def __init__(self) -> None:
        self._clients: dict[SqsClientConfig, tuple[SqsClient, int]] = {}

    def acquire(self, config: SqsClientConfig) -> SqsClient:
        """Return the client for a service. Each call needs one ``release``."""
        client, users = self._clients.get(config) or (SqsClient(config), 0)
        self._clients[config] = (client, users + 1)
        return client

    def release(self, config: SqsClientConfig) -> None:
        """End one use of a client. The last user closes it."""
        client, users = self._clients.pop(config)
        if users > 1:
            self._clients[config] = (client, users - 1)
        else:
            client.close()


class SqsClient:
    """A client of one service with one pair of keys. Lives on one event loop."""

    def __init__(self, config: SqsClientConfig, response_timeout: float = _RESPONSE_TIMEOUT) -> None:
        """Create a client. It connects at the first call.

        Args:
            config: The service, and the keys.
            response_timeout: Seconds to wait for a response, in addition to those of a long poll.
        """
        self.config = config
        self._response_timeout = response_timeout
        self._path = urlsplit(config.endpoint).path or "/"
        self._pool: ConnectionPool | None = None
        self._sign: Callable[[str, bytes], dict[str, str]] = lambda _target, _body: {}
        self._lock = asyncio.Lock()

    async def call(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Call an operation of SQS (``ReceiveMessage`` …) and return its response.

        Args:
            operation: Name of the operation.
            parameters: Its parameters, with the names of the JSON protocol.

        Raises:
            SqsUnavailable: There was no response, or a transient error.
            SqsRequestRejected: The service rejects the request.
            ReceiptHandleExpired: The receipt handle of the message is no longer valid.
        """
        if self._pool is None:
            async with self._lock:
                if self._pool is None:
                    self._sign, ssl_context = await asyncio.to_thread(_create_signer, self.config)
                    self._pool = ConnectionPool(self.config.endpoint, ssl_context)
        body = msgspec.json.encode(parameters)
        headers = self._sign(f"AmazonSQS.{operation}", body)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST {self._path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        wait, host = parameters.get("WaitTimeSeconds", 0), self.config.host
        timeout = self._response_timeout + (wait if isinstance(wait, int) else 0)
        try:
            response = await self._pool.request(request, timeout)
        except TimeoutError:
            raise SqsUnavailable(f"SQS at {host} did not respond in time") from None
        except ssl.SSLError as error:
            raise SqsUnavailable(f"TLS connection to SQS at {host} failed: {error.reason or error}") from None
        except OSError as error:
            raise SqsUnavailable(f"SQS at {host} cannot be reached: {error.strerror or error}") from None
        return self._parse_response(response)

    def close(self) -> None:
        """Close the idle connections."""
        if self._pool is not None:
            self._pool.close()

    def _parse_response(self, response: SqsResponse) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(response.body or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            message = f"the server at {self.config.host} does not respond with SQS JSON: status {response.status}"
            if is_transient("", response.status):
                raise SqsUnavailable(message) from None
            raise SqsRequestRejected(message, "") from None
        if response.status == _OK:
            return document
        # Services also send the code of the older query protocol, in a header. It takes precedence.
        code = response.query_error or str(document.get("__type", "")).rpartition("#")[2] or str(response.status)
        message = str(document.get("message") or document.get("Message") or "")
        raise error_from_response(code, message, response.status, self.config)


def _create_signer(config: SqsClientConfig) -> tuple[Callable[[str, bytes], dict[str, str]], ssl.SSLContext | None]:
    """Return the signer and, for HTTPS, the TLS context. Runs in a thread, since importing botocore is slow."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(config.access_key, config.secret_key), "sqs", config.region_name)
    fixed = {"Host": config.host, "Content-Type": "application/x-amz-json-1.0", "User-Agent": "fnkit"}

    def sign(target: str, body: bytes) -> dict[str, str]:
        request = AWSRequest("POST", config.endpoint, {**fixed, "X-Amz-Target": target}, body)
        signer.add_auth(request)
        return dict(request.headers.items())

    if urlsplit(config.endpoint).scheme != "https":
        return sign, None
    from botocore.httpsession import get_cert_path

    ssl_context = ssl.create_default_context()
    ssl_context.load_verify_locations(get_cert_path(True))  # noqa: FBT003  its only parameter
    return sign, ssl_context


@dataclass(slots=True)
class SqsResponse:
    """A response.

    Attributes:
        status: The HTTP status.
        body: The body.
        query_error: Error code of the older query protocol, which SQS sends in a header.
    """

    status: int = 0
    body: bytes = b""
    query_error: str = ""


class _StaleConnection(Exception):
    """A kept connection was already closed."""


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
