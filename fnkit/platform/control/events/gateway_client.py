"""Sends requests of triggers and crons to functions, over the gateway's Unix socket for deliveries.

The socket is accessible to control alone, so requests on it need no token. All requests share one connection, which
is opened when it is needed. The connection writes to its socket itself rather than through an asyncio transport, so
that it knows how much the kernel accepted: if the connection breaks, a request whose last byte was not written
cannot have reached a handler and may be sent again.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from fnkit.platform.control.addresses import domain_name
from fnkit.platform.model.delivery_protocol import (
    MAX_BODY_BYTES,
    RESPONSE,
    DeliveryResponse,
    FrameDecoder,
    decode_response,
    encode_cancel_frame,
    encode_request_frame,
)
from fnkit.platform.model.records import FunctionRecord

FAILURE_STATUS: Final = 300
"""Lowest status that counts as a failure of a trigger, as Scaleway documents."""

# Sent by the gateway itself if its queue is full or it has no route to the function (yet). No handler ran.
_REJECTION_STATUSES: Final = frozenset({404, 503})
_PAYLOAD_TOO_LARGE: Final = 413
_RESPONSE_LOST: Final = "the connection closed before the response was complete"
_NOT_SENT: Final = "the connection closed before the message was sent"

_RESPONSE_GRACE_SECONDS: Final = 60.0  # real seconds for queueing and a cold start, added to the function's timeout
_READ_BYTES: Final = 64 * 1024
_DEADLINE_CHECK_INTERVAL: Final = 0.5


@dataclass(frozen=True, slots=True)
class DeliveryTarget:
    """A function that serves requests.

    Attributes:
        function_id: Its id.
        function: Its name.
        host: Its hostname at the gateway.
        timeout: Real seconds to wait for its response.
        max_concurrency: Number of requests to send at a time. Never more than it has instances: requests in the
            queue of the gateway use up their timeout.
    """

    function_id: str
    function: str
    host: str
    timeout: float
    max_concurrency: int


def delivery_target(function: FunctionRecord | None, domain_suffix: str) -> DeliveryTarget | None:
    """Return where requests for a function are sent, or ``None`` if no deployment of it serves requests."""
    if function is None or function.serving is None:
        return None
    settings = function.serving.settings
    return DeliveryTarget(
        function_id=function.id,
        function=function.name,
        host=domain_name(function.host_label, function.region, domain_suffix),
        timeout=settings.timeout_seconds + _RESPONSE_GRACE_SECONDS,
        max_concurrency=max(1, settings.max_scale),
    )


class Unreachable(Exception):
    """The gateway cannot be reached; nothing was delivered."""


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The outcome of one attempt to deliver.

    Attributes:
        http_status: The status, or ``None`` if there was no response.
        duration_ms: Duration in real milliseconds.
        error: Why the attempt failed, else empty.
        rejected: Whether the gateway rejected the request or cannot be reached, so that no handler ran.
    """

    http_status: int | None
    duration_ms: float
    error: str = ""
    rejected: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the function responded with success."""
        return self.http_status is not None and self.http_status < FAILURE_STATUS


class GatewayClient:
    """Client of the gateway's socket for deliveries. Lives on one event loop."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: DeliveryClient | None = None
        self._connect_lock = asyncio.Lock()

    async def post(
        self, host: str, body: bytes, content_type: str, timeout_seconds: float, request_id: str = ""
    ) -> DeliveryOutcome:
        """Send ``POST /`` to a function and wait for its response.

        Args:
            host: The function's hostname at the gateway.
            body: The body.
            content_type: Value of the ``Content-Type`` header.
            timeout_seconds: Real seconds to wait for the response.
            request_id: The ``X-Request-Id``; by default the gateway makes one.

        Returns:
            The outcome. If the gateway cannot be reached, it is a rejection: nothing was delivered.
        """
        started = time.monotonic()
        try:
            connection = self._connection
            if connection is None or not connection.is_open:
                connection = await self._connect()
            response = await connection.post(host, content_type, body, timeout_seconds, request_id)
        except Unreachable as error:
            return DeliveryOutcome(None, 0.0, f"the gateway cannot be reached: {error}", rejected=True)
        except (ConnectionError, TimeoutError) as error:
            return DeliveryOutcome(None, _elapsed_ms(started), str(error))
        return parse_outcome(response, _elapsed_ms(started))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> DeliveryClient:
        async with self._connect_lock:
            if self._connection is None or not self._connection.is_open:
                self._connection = await DeliveryClient.connect(self._path)
            return self._connection


def parse_outcome(response: DeliveryResponse, duration_ms: float) -> DeliveryOutcome:
    """Return the outcome that a response of the gateway stands for."""
    if response.status < FAILURE_STATUS:
        return DeliveryOutcome(response.status, duration_ms)
    return DeliveryOutcome(
        response.status,
        duration_ms,
        error=f"HTTP {response.status}: {_error_text(response)}".removesuffix(": "),
        rejected=response.status in _REJECTION_STATUSES and not response.from_function,
    )


def _error_text(response: DeliveryResponse) -> str:
    """Return the text of a failure: the gateway's message, or the beginning of the function's response."""
    try:
        return msgspec.json.decode(response.error_excerpt, type=dict[str, str])["message"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return response.error_excerpt.decode("utf-8", "replace").strip()


def _elapsed_ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)


@dataclass(slots=True)
class _Pending:
    """A request without a response.

    Attributes:
        response: Receives the response or the error.
        deadline: Time of the event loop after which the request times out.
        end_offset: Position of the request's last byte in the stream of all bytes of the connection.
    """

    response: asyncio.Future[DeliveryResponse]
    deadline: float
    end_offset: int


class DeliveryClient:
    """One connection. ``is_open`` is true until either end closes it."""

    def __init__(self, connection: socket.socket) -> None:
        self.is_open = True
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._reader = FrameDecoder()
        self._pending: dict[int, _Pending] = {}
        self._last_delivery_id = 0
        self._queued = 0  # bytes passed to ``_send`` since the connection was opened
        self._sent = 0  # bytes accepted by the socket since then
        self._buffer: list[bytes] = []  # frames of this iteration of the event loop
        self._backlog = memoryview(b"")  # what the socket did not accept yet
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection, self._on_readable)

    @classmethod
    async def connect(cls, path: str) -> DeliveryClient:
        """Connect to the socket at ``path``.

        Raises:
            Unreachable: Nothing listens there.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(connection, path)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise Unreachable(str(error)) from None
            raise
        return cls(connection)

    async def post(
        self, host: str, content_type: str, body: bytes, timeout_seconds: float, request_id: str = ""
    ) -> DeliveryResponse:
        """Send a request and wait for its response.

        Args:
            host: The function's hostname at the gateway.
            content_type: Value of the ``Content-Type`` header.
            body: The body.
            timeout_seconds: Real seconds to wait.
            request_id: The ``X-Request-Id``; by default the gateway makes one.

        Raises:
            Unreachable: The connection closed before the request was sent completely.
            ConnectionError: The connection closed later; a handler may have run.
            TimeoutError: The time is over; a handler may have run.
        """
        if not self.is_open:
            raise Unreachable(_NOT_SENT)
        if len(body) > MAX_BODY_BYTES:  # a longer frame would break the protocol; the gateway's own limit is lower
            return DeliveryResponse(_PAYLOAD_TOO_LARGE, from_function=False, error_excerpt=b"the body is too large")
        self._last_delivery_id += 1
        delivery_id = self._last_delivery_id
        response: asyncio.Future[DeliveryResponse] = self._loop.create_future()
        frame = encode_request_frame(delivery_id, host, content_type, body, request_id)
        self._send(frame)
        self._pending[delivery_id] = _Pending(response, self._loop.time() + timeout_seconds, self._queued)
        if self._deadline_timer is None:
            self._deadline_timer = self._loop.call_later(_DEADLINE_CHECK_INTERVAL, self._check_deadlines)
        try:
            return await response
        finally:
            if self._pending.pop(delivery_id, None) is not None and self.is_open:
                self._send(encode_cancel_frame(delivery_id))

    def close(self) -> None:
        """Close the connection. Pending requests fail."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        pending, self._pending = self._pending, {}
        for request in pending.values():
            if not request.response.done():
                # Written completely means that the gateway may have read it and started the handler.
                was_sent = request.end_offset <= self._sent
                request.response.set_exception(
                    ConnectionError(_RESPONSE_LOST) if was_sent else Unreachable(_NOT_SENT)
                )

    # Writing. The frames of one iteration of the event loop are sent with one system call.

    def _send(self, frame: bytes) -> None:
        self._queued += len(frame)
        self._buffer.append(frame)
        if len(self._buffer) == 1 and not self._backlog:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if not self.is_open:
            return
        buffer, self._buffer = self._buffer, []
        backlog = memoryview(b"".join((self._backlog, *buffer))) if buffer else self._backlog
        while backlog:
            try:
                sent = self._socket.send(backlog)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.close()
                return
            self._sent += sent
            backlog = backlog[sent:]
        if backlog and not self._backlog:
            self._loop.add_writer(self._socket, self._flush)
        elif self._backlog and not backlog:
            self._loop.remove_writer(self._socket)
        self._backlog = backlog

    # Reading

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for frame in self._reader.feed(data):
                if frame.kind != RESPONSE:
                    continue
                response = decode_response(frame.payload)
                request = self._pending.pop(frame.delivery_id, None)
                # The request may have timed out in this iteration, in which case its future is done.
                if request is not None and not request.response.done():
                    request.response.set_result(response)
        except ValueError:
            self.close()

    def _check_deadlines(self) -> None:
        """Fail the requests whose deadline has passed.

        One periodic check of all requests costs less than a timer for each. A timeout may be late by half a second.
        """
        now = self._loop.time()
        for request in self._pending.values():
            if now > request.deadline and not request.response.done():
                request.response.set_exception(TimeoutError("timed out waiting for the response"))
        self._deadline_timer = (
            self._loop.call_later(_DEADLINE_CHECK_INTERVAL, self._check_deadlines) if self._pending else None
        )
