"""The connection of one instance, over which it gets one request at a time as HTTP.

``ResponseReader`` is the HTTP client: it writes the heads of requests and reads the responses.
``ConnectedInstance`` is what instances of all engines have in common. They differ in how they start and end, and in
where their output comes from.

The handler shares the worker's process, so anything that arrives may have been written by the handler. A response
is accepted for a request only if it repeats the nonce drawn for that request, and nothing may follow it.

Heads of earlier responses are cached. An instance sends the same few heads again and again, most responses arrive
in one read, and a lookup by the bytes of the head replaces six callbacks of the parser. The nonce, which differs in
every head, is its last line, so the lookup uses the bytes before it. The cache saves 6.4 of the 35 µs of CPU that a
warm request costs the data plane (``docs/performance.md``).
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final, cast

import httptools

from fnkit.contract.limits import HEAD_MAX_BYTES, RESPONSE_HEADERS_MAX
from fnkit.platform.data_plane.body_buffer import LARGE_BODY_BYTES, BodyBuffer
from fnkit.platform.data_plane.instance import AssignedRequest, InstanceState
from fnkit.platform.data_plane.interface import ResponseHandler, ResponseHeaders
from fnkit.platform.data_plane.logs import LogWriter

_NONCE_HEADER: Final = b"fnkit-request"
_NONCE_BYTES: Final = 8  # a handler cannot guess 64 bits from earlier nonces
_END_HEADER: Final = b"fnkit-instance-ended"
_REQUEST_HEAD: Final = b"POST / HTTP/1.1\r\ncontent-type: application/json%b%b\r\ncontent-length: %d\r\n\r\n"
_GET_HEAD: Final = b"GET / HTTP/1.1%b%b\r\n\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_MAX_CACHED_HEADS: Final = 1024  # handlers choose their headers, so the cache must be bounded
_MAX_CACHED_HEAD_BYTES: Final = 1024
_FIRST_FINAL_STATUS: Final = 200
_BODILESS_STATUSES: Final = (204, 304)
_cached_heads: Final[dict[bytes, CachedHead]] = {}


class ProtocolViolation(Exception):
    """What the instance sent is no response to the request. The message states the reason."""


class InstanceEnded(ProtocolViolation):
    """The instance has ended instead of answering. The message states why."""


class ResponseReader:
    """Parses the responses of one instance, in turn.

    Args:
        reads_end: Whether a response may report that the instance has ended instead of answering, in a header that
            its handler cannot set.

    Attributes:
        handler: Receives the current response; ``None`` to discard it.
        has_trailing_data: Something followed a response.
        connection_close: The last response announced the end of the process; the instance must get no other
            request.
    """

    def __init__(self, *, reads_end: bool = False) -> None:
        self.handler: ResponseHandler | None = None
        self.has_trailing_data = False
        self.connection_close = False
        self._reads_end = reads_end
        self._nonce_line = b""  # the header line that the head of the current response must end with
        self._violation = ""  # what is wrong with the head
        self._end_reason = ""
        self._body_parts: list[bytes] = []  # of the current read: a body in tiny chunks is delivered at once
        self._is_in_body = False
        self._is_complete = False
        self._head_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: tuple[int, ResponseHeaders] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def expect(self, handler: ResponseHandler | None) -> None:
        """Deliver the next response to this handler."""
        self.handler = handler
        self._nonce_line = b"\r\n%b: %b" % (_NONCE_HEADER, os.urandom(_NONCE_BYTES).hex().encode())
        self._is_in_body = False
        self._body_parts.clear()
        self._head = None
        self._head_bytes = 0

    def encode_head(self, content_length: int, lines: bytes = b"") -> bytes:
        """Return the head of the request, with its nonce and these lines, each with the line break before it."""
        return _REQUEST_HEAD % (self._nonce_line, lines, content_length)

    def encode_get(self, lines: bytes) -> bytes:
        """Return a request without a body, with its nonce and these lines, each with the line break before it."""
        return _GET_HEAD % (self._nonce_line, lines)

    @property
    def status(self) -> int:
        """The status of the response that was parsed last; 0 before its head is complete."""
        return self._head[0] if self._head is not None else 0

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header of the response that was parsed last; its name is in lower case."""
        headers = self._head[1] if self._head is not None else ()
        return next((value for key, value in headers if key.lower() == name), None)

    def feed(self, data: bytes) -> bool:
        """Parse received bytes.

        Returns:
            Whether the response is complete.

        Raises:
            ProtocolViolation: The bytes are no response to the current request.
            InstanceEnded: They say that there will be none.
        """
        is_first = self._head_bytes == 0
        if is_first and (known := lookup_head(data, self._nonce_line)) is not None:
            self._deliver_cached(*known)
            return True
        if not self._is_in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.has_trailing_data = True
            if self._end_reason:
                raise InstanceEnded(self._end_reason) from None
            if not self._is_complete:
                raise ProtocolViolation(self._violation or "its response was not HTTP") from None
        self._deliver_body()
        if not self._is_complete:
            if not self._is_in_body and self._head_bytes > HEAD_MAX_BYTES:
                raise ProtocolViolation(f"the head of its response exceeds {HEAD_MAX_BYTES} bytes")
            return False
        if is_first and self._head is not None and not self.has_trailing_data and not self.connection_close:
            store_head(data, self._nonce_line, *self._head)
        self._is_complete = False
        return True

    def _deliver_cached(self, head: CachedHead, body: bytes) -> None:
        if self.handler is not None:
            self.handler.on_response_start(head.status, head.headers)
        if body and self.handler is not None:
            self.handler.on_response_data(body)

    def _deliver_body(self) -> None:
        if self._body_parts:
            body = self._body_parts[0] if len(self._body_parts) == 1 else b"".join(self._body_parts)
            self._body_parts.clear()
            if self.handler is not None:
                self.handler.on_response_data(body)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Note whether another response begins after the first."""
        self.has_trailing_data = self._is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, up to Envoy's limit for their number; the nonce is one more."""
        if len(self._headers) > RESPONSE_HEADERS_MAX:
            self._violation = f"its response has more than {RESPONSE_HEADERS_MAX} headers"
            raise httptools.HttpParserError(self._violation)
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the nonce and start the response."""
        headers, self._headers = self._headers, []
        if self._is_complete:
            return  # the head of a second response, which is dropped
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            raise httptools.HttpParserError("an interim response")
        nonces = [value for name, value in headers if name.lower() == _NONCE_HEADER]
        # The whole list is compared: a second nonce header is a violation too.
        if nonces != [self._nonce_line.rpartition(b" ")[2]]:
            self._violation = "it answered another request"
            raise httptools.HttpParserError(self._violation)
        if self._reads_end:
            self._check_end(headers)
        self._is_in_body = True
        self._head = (status, tuple(header for header in headers if header[0].lower() != _NONCE_HEADER))
        if self.handler is not None:
            self.handler.on_response_start(*self._head)

    def _check_end(self, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name.lower() == _END_HEADER:
                self._end_reason = value.decode("latin-1")
                raise httptools.HttpParserError(self._end_reason)

    def on_body(self, data: bytes) -> None:
        """Collect a part of the body."""
        if not self._is_complete:
            self._body_parts.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the response."""
        if not self._is_complete and not self._parser.should_keep_alive():
            self.connection_close = True
        self._is_complete = True


@dataclass(frozen=True, slots=True)
class CachedHead:
    """A parsed head.

    Attributes:
        status: The status code.
        headers: The headers without the nonce.
        content_length: The size of the body in bytes.
    """

    status: int
    headers: ResponseHeaders
    content_length: int


def lookup_head(data: bytes, nonce_line: bytes) -> tuple[CachedHead, bytes] | None:
    """Return head and body if ``data`` is exactly one complete response with a cached head.

    Args:
        data: The received bytes.
        nonce_line: The line that must end the head, with the line break before it.
    """
    head, _, body = data.partition(_HEAD_END)
    if not head.endswith(nonce_line):
        return None
    cached = _cached_heads.get(head[: -len(nonce_line)])
    return (cached, body) if cached is not None and len(body) == cached.content_length else None


def store_head(data: bytes, nonce_line: bytes, status: int, headers: ResponseHeaders) -> None:
    """Cache the head of a response that the parser accepted as complete and that keeps the connection open.

    Args:
        data: The bytes of the response, received in one read.
        nonce_line: The last line of its head, with the line break before it.
        status: The status code.
        headers: The headers without the nonce.
    """
    head, _, body = data.partition(_HEAD_END)
    names = [name.lower() for name, _ in headers]
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if (
        # Only heads that declare the length of the body themselves: the end of others depends on more than the
        # head.
        len(_cached_heads) < _MAX_CACHED_HEADS
        and len(head) <= _MAX_CACHED_HEAD_BYTES
        and head.endswith(nonce_line)
        and lengths == [b"%d" % len(body)]
        and status not in _BODILESS_STATUSES
        and b"transfer-encoding" not in names
    ):
        _cached_heads[head[: -len(nonce_line)]] = CachedHead(status, headers, len(body))


class ConnectedInstance(asyncio.Protocol):
    """Base class of an ``Instance``: the data plane's end of its connection.

    Args:
        name: Its name.
        state: Its first state.
        logs: Receives its output.
        response_reader: Parses what it answers.

    Attributes:
        reason: Why it ends; empty until then.
        The others are those of ``Instance``.
    """

    def __init__(self, name: str, state: InstanceState, logs: LogWriter, response_reader: ResponseReader) -> None:
        self._loop = asyncio.get_running_loop()
        self.name = name
        self.state = state
        self.started: asyncio.Future[bool] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.idle_since = 0.0
        self.start_began_at = 0.0
        self.ready_at = 0.0
        self.busy_since = 0.0
        self.has_served = False
        self.request: AssignedRequest | None = None
        self.reason = ""
        self.was_ready = False
        self.import_error = ""
        self.was_killed_externally = False
        self._function_id = ""
        self._request_id = ""
        self._logs = logs
        self._on_idle: Callable[[ConnectedInstance], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._response_reader = response_reader
        self._is_paused = False
        self._is_write_paused = False
        self._arrivals = select.poll()
        self._unsent: Iterator[bytes] = iter(())  # what is left of a large request

    @property
    def is_terminating(self) -> bool:
        """Whether it is about to end, so that it must get no request."""
        return bool(self.reason)

    @property
    def is_waiting(self) -> bool:
        """Whether it is alive and waits for what it is sent.

        The kernel is asked because the event loop may not have processed its end yet, or reports it in its next
        iteration only.
        """
        if self.is_terminating or self._transport is None or self._transport.is_closing():
            return False
        return not self._arrivals.poll(0)  # it sends nothing unasked, so it is readable only once it has ended

    # What a subclass decides

    def kill(self, reason: str) -> None:
        """End it now. ``ended`` follows, with the reason of the first call."""
        raise NotImplementedError

    def _on_start_data(self, data: bytes) -> None:
        """Use what arrives while it starts."""
        raise NotImplementedError

    def _on_violation(self, violation: ProtocolViolation) -> None:
        """Handle what is no response."""
        self.kill(str(violation))

    def _on_response_end(self) -> None:
        """Use what belongs to the request whose response is complete, before the request is."""

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass
        self._arrivals.register(transport.get_extra_info("socket"), select.POLLIN)

    def _note_ready(self) -> None:
        """Note that its handler was imported."""
        self.state = InstanceState.IDLE
        self.was_ready = True
        self.ready_at = monotonic()

    # Requests

    def assign_request(self, request: AssignedRequest) -> None:
        """Assign a request, which is sent through ``send``, and log it."""
        self.state = InstanceState.BUSY
        self.busy_since = monotonic()
        self.has_served = True
        self._request_id = request.request_id
        self.request = request
        self._response_reader.expect(request.handler)
        self._logs.write_request(self._function_id, self.name, request.request_id, request.path)

    def send(self, document: bytes | BodyBuffer) -> None:
        """Send the request: event and context as JSON."""
        if self._transport is None or self._transport.is_closing():
            return
        if isinstance(document, bytes):
            self._transport.write(self._encode_head(len(document)) + document)
        else:
            self._transport.write(self._encode_head(document.size))
            self._unsent = document.drain()
            self._write_unsent()

    def _encode_head(self, content_length: int) -> bytes:
        return self._response_reader.encode_head(content_length)

    def _write_unsent(self, *, at_once: bool = False) -> None:
        while self._transport is not None and (at_once or not self._is_write_paused):
            piece = next(self._unsent, None)
            if piece is None:
                return
            if not self._transport.is_closing():
                self._transport.write(piece)

    def pause_writing(self) -> None:
        """Stop writing until the instance has read."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Continue with the request."""
        self._is_write_paused = False
        self._write_unsent()

    def discard_response(self) -> None:
        """Discard the rest of the response."""
        self._response_reader.handler = None

    def pause(self) -> None:
        """Pause reading the response."""
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Resume reading."""
        self._is_paused = False
        self._resume_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._is_paused:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Handle what arrives at a start, or a part of a response."""
        if self.reason:
            return  # it is being killed
        if len(data) > LARGE_BODY_BYTES and self._transport is not None:
            # libuv would read up to 32 times before others get their turn.
            self._transport.pause_reading()
            self._loop.call_soon(self._resume_reading)
        if self.state is InstanceState.BUSY:
            try:
                if self._response_reader.feed(data):
                    self._complete_response()
            except ProtocolViolation as violation:
                self._on_violation(violation)
        elif self.state is InstanceState.STARTING:
            self._on_start_data(data)
        else:
            self.kill("it sent data without a request")

    def _complete_response(self) -> None:
        """Complete the request and become idle.

        The caller has read everything that arrived: what follows a response must not become the response to the
        next request.
        """
        self._on_response_end()
        self._write_unsent(at_once=True)  # it answered before it had read the request, and may read it yet
        if self._is_paused:  # by the last part of this response; the next one must be read
            self.resume()
        request, self.request = self.request, None
        self.state = InstanceState.IDLE
        if request is not None:
            request.complete()
        if self._response_reader.has_trailing_data:
            self.kill("it sent data without a request")
        if self._on_idle is not None and not self._response_reader.connection_close:
            self._on_idle(self)

    # The end

    def _finish(self, reason: str) -> None:
        """Report the end, once."""
        self._unsent = iter(())
        self.state = InstanceState.ENDED
        if self._transport is not None:
            self._transport.abort()
        if not self.started.done():
            self.started.set_result(False)
        if not self.ended.done():
            self.ended.set_result(reason)
