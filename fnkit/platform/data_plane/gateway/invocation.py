"""Invocations: a request or a message from the moment it is complete until its response is sent.

``Invocation`` requests an instance, receives its response, maps it by the rules of the runtimes and counts it.
Subclasses say how a response is sent: ``HttpInvocation`` writes it to an HTTP client, also while it arrives, and
``DeliveryInvocation`` reports the outcome of a message.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from fnkit.contract.invocation.response import MappedResponse, map_failure, map_response, needs_complete_body
from fnkit.platform.data_plane.gateway.request import ClientRequest
from fnkit.platform.data_plane.gateway.response import (
    complete_head,
    encode_response,
    failure_response,
    pass_through_head,
    without_length,
)
from fnkit.platform.data_plane.gateway.tracing import Trace
from fnkit.platform.data_plane.interface import Engine, PendingRequest, RequestFailure, ResponseHeaders
from fnkit.platform.model.delivery_protocol import DeliveryResponse
from fnkit.platform.model.routing import Route

MAX_ERROR_EXCERPT_BYTES: Final = 300
"""Bytes of an error body that are reported to control."""

_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that closed its connection before the response
_MAX_BUFFERED_BYTES: Final = 32 * 1024 * 1024
_HANDLER_ERROR_STATUS: Final = 500
_FAILURE_STATUS: Final = 300
_JSON_WHITESPACE: Final = b" \t\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Invocation:
    """Base class of invocations, and the ``ResponseHandler`` of the engine.

    A response whose body is a JSON object, a string or ``null`` is mapped, and so is every error of a handler. All
    others are sent unchanged, as are those of more than 32 MiB.

    Args:
        engine: Assigns the instance.
        route: The deployment.
        request_id: The id of the request.
        payload: Event and context as JSON.
        trace: The trace to record, if any.
    """

    __slots__ = (
        "_body_parts",
        "_body_size",
        "_content_length",
        "_counters",
        "_engine",
        "_function_id",
        "_is_cancelled",
        "_payload",
        "_pending_request",
        "_request_id",
        "_response_headers",
        "_response_status",
        "_started_at",
        "_trace",
    )

    def __init__(self, engine: Engine, route: Route, request_id: str, payload: bytes, trace: Trace | None) -> None:
        self._engine = engine
        self._counters = engine.counters.get_or_create(route)
        self._function_id = route.function_id
        self._request_id = request_id
        self._payload = payload
        self._trace = trace
        self._started_at = monotonic()
        self._pending_request: PendingRequest | None = None
        self._is_cancelled = False
        self._response_status = 0
        self._response_headers: ResponseHeaders = ()  # without Content-Length
        self._content_length: int | None = None
        self._body_parts: list[bytes] = []
        self._body_size = 0

    def start(self) -> None:
        """Request an instance from the engine."""
        pending_request = self._engine.acquire(self._function_id, self._request_id, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._is_cancelled:
            self._pending_request = pending_request

    def cancel(self) -> None:
        """Cancel: the client is gone. The request counts with status 499.

        The engine lets the handler finish and frees the instance afterwards.
        """
        self._is_cancelled = True
        self._count_response(_CLIENT_CLOSED_REQUEST)
        if self._pending_request is not None:
            self._engine.cancel(self._pending_request)
            self._pending_request = None

    # ResponseHandler

    def on_assigned(self, request: PendingRequest) -> None:
        """Send the request to the assigned instance."""
        self._pending_request = request
        if self._trace is not None:
            self._trace.assigned(request)
        # Dropped here, since the invocation may live for minutes and a payload may have tens of megabytes.
        payload, self._payload = self._payload, b""
        request.send(payload)

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """Store the head of the response."""
        self._response_status = status
        self._content_length, self._response_headers = without_length(headers)

    def on_response_data(self, data: bytes) -> None:
        """Buffer a piece of the body; discard it beyond the size up to which a body is mapped."""
        self._body_size += len(data)
        if self._body_size <= _MAX_BUFFERED_BYTES:
            self._body_parts.append(data)

    def on_response_end(self) -> None:
        """Send the response."""
        self._pending_request = None
        parts = self._body_parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._response_status == _HANDLER_ERROR_STATUS:
            response = map_failure(body.decode("utf-8", "replace"))
        elif self._is_mapped(body):
            headers = [
                (name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._response_headers
            ]
            response = map_response(self._response_status, headers, body)
        else:
            status, head = pass_through_head(self._response_status, self._response_headers)
            self._send_unmapped(status, head, body)
            self._count_response(status)
            return
        self._send_response(response, from_function=True)
        self._count_response(response.status)

    def on_failure(self, failure: RequestFailure) -> None:
        """Send the gateway's error response."""
        self._pending_request = None
        if self._is_cancelled:
            return
        response = failure_response(failure)
        self._send_response(response, from_function=False)
        self._count_response(response.status)

    def _is_mapped(self, body: bytes) -> bool:
        start = body.lstrip(_JSON_WHITESPACE)
        return bool(start) and needs_complete_body(start[0]) and self._body_size <= _MAX_BUFFERED_BYTES

    def _count_response(self, status: int) -> None:
        self._counters.count_response(status, monotonic() - self._started_at)
        if self._trace is not None:
            self._trace.finish(status)

    # How a response is sent

    def _send_response(self, response: MappedResponse, *, from_function: bool) -> None:
        """Send a complete response: the mapped one of the function, or an error of the gateway."""
        raise NotImplementedError

    def _send_unmapped(self, status: int, head: bytes, body: bytes) -> None:
        """Send a complete response whose body needs no mapping, with its encoded head."""
        raise NotImplementedError


class ResponseWriter(Protocol):
    """The connection that a response is written to."""

    def write(self, data: bytes) -> None:
        """Write a piece of the response."""

    def end_response(self, *, complete: bool) -> None:
        """End the response. An incomplete one must be shown to the client by closing the connection."""


class HttpInvocation(Invocation):
    """Writes the response of an instance to an HTTP client.

    The body is buffered until its first byte that is not whitespace. If that shows that it will not be mapped, the
    response is streamed.

    Args:
        engine: Assigns the instance.
        route: The deployment.
        payload: Event and context as JSON.
        trace: The trace to record, if any.
        request: The request.
        writer: The connection that the response is written to.
    """

    __slots__ = (
        "_buffers_body",
        "_client_status",
        "_is_chunked",
        "_is_head_request",
        "_is_streaming",
        "_keep_alive",
        "_writer",
    )

    def __init__(
        self,
        engine: Engine,
        route: Route,
        payload: bytes,
        trace: Trace | None,
        request: ClientRequest,
        writer: ResponseWriter,
    ) -> None:
        super().__init__(engine, route, request.id, payload, trace)
        self._writer = writer
        self._is_head_request = request.method == "HEAD"
        self._keep_alive = request.keep_alive
        self._buffers_body: bool | None = None  # whether to buffer and map the body; unknown before its first byte
        self._is_streaming = False
        self._is_chunked = False
        self._client_status = 0  # of a streamed response

    def pause(self) -> None:
        """Stop reading from the instance, once streaming: before that, the buffer has its own limit."""
        if self._pending_request is not None and self._is_streaming:
            self._pending_request.pause()

    def resume(self) -> None:
        """Read from the instance again."""
        if self._pending_request is not None:
            self._pending_request.resume()

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """Store the head of the response."""
        super().on_response_start(status, headers)
        if status == _HANDLER_ERROR_STATUS:
            self._buffers_body = True

    def on_response_data(self, data: bytes) -> None:
        """Buffer or stream a piece of the body."""
        if self._is_streaming:
            self._write_body(data)
            return
        self._body_parts.append(data)
        self._body_size += len(data)
        if self._buffers_body is None:
            start = data.lstrip(_JSON_WHITESPACE)
            if start:
                self._buffers_body = needs_complete_body(start[0])
            elif self._body_size <= _MAX_BUFFERED_BYTES:
                return
        if self._buffers_body:
            if self._body_size > _MAX_BUFFERED_BYTES:
                self._start_streaming()
        # A complete body is not streamed: its end follows at once, and head and body go out in one write.
        elif self._body_size != self._content_length:
            self._start_streaming()

    def on_response_end(self) -> None:
        """Write the response, or its end."""
        if not self._is_streaming:
            super().on_response_end()
            return
        self._pending_request = None
        if self._is_chunked:
            self._writer.write(_LAST_CHUNK)
        self._writer.end_response(complete=True)
        self._count_response(self._client_status)

    def _send_response(self, response: MappedResponse, *, from_function: bool) -> None:
        del from_function
        if self._is_streaming:  # a failure after the head was written
            self._writer.end_response(complete=False)
            return
        self._writer.write(encode_response(response, keep_alive=self._keep_alive, is_head=self._is_head_request))
        self._writer.end_response(complete=True)

    def _send_unmapped(self, status: int, head: bytes, body: bytes) -> None:
        head = complete_head(head, status, len(body), keep_alive=self._keep_alive)
        self._writer.write(head if self._is_head_request else head + body)
        self._writer.end_response(complete=True)

    def _start_streaming(self) -> None:
        status, head = pass_through_head(self._response_status, self._response_headers)
        self._client_status = status
        self._is_chunked = self._content_length is None and not self._is_head_request
        self._is_streaming = True
        self._writer.write(complete_head(head, status, self._content_length, keep_alive=self._keep_alive))
        parts, self._body_parts = self._body_parts, []
        for part in parts:
            self._write_body(part)

    def _write_body(self, data: bytes) -> None:
        if not self._is_head_request:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)


class DeliveryInvocation(Invocation):
    """Delivers one message and reports the status that an HTTP client would get.

    Args:
        engine: Assigns the instance.
        route: The deployment.
        request_id: The id of the request.
        payload: Event and context as JSON.
        trace: The trace to record, if any.
        on_done: Called once with the outcome, unless the invocation is cancelled.
    """

    __slots__ = ("_on_done",)

    def __init__(
        self,
        engine: Engine,
        route: Route,
        request_id: str,
        payload: bytes,
        trace: Trace | None,
        on_done: Callable[[DeliveryResponse], None],
    ) -> None:
        super().__init__(engine, route, request_id, payload, trace)
        self._on_done = on_done

    def _send_response(self, response: MappedResponse, *, from_function: bool) -> None:
        self._report(response.status, response.body, from_function=from_function)

    def _send_unmapped(self, status: int, head: bytes, body: bytes) -> None:
        del head
        self._report(status, body, from_function=True)

    def _report(self, status: int, body: bytes, *, from_function: bool) -> None:
        excerpt = body[:MAX_ERROR_EXCERPT_BYTES] if status >= _FAILURE_STATUS else b""
        self._on_done(DeliveryResponse(status, from_function=from_function, error_excerpt=excerpt))
