"""Invocations: a request from the moment it is complete until its response is written.

``Invocation`` requests the instance and counts the result, for HTTP requests and messages alike. ``HttpInvocation``
writes the response to an HTTP client, mapped by the rules of the runtimes or passed through.
"""

from __future__ import annotations

from time import monotonic
from typing import Final, Protocol

from fnkit.contract.invocation import map_failure, map_response, needs_complete_body
from fnkit.platform.data_plane.counters import FunctionCounters
from fnkit.platform.data_plane.gateway.response import (
    complete_head,
    encode_response,
    failure_response,
    pass_through_head,
    without_length,
)
from fnkit.platform.data_plane.gateway.tracing import Trace
from fnkit.platform.data_plane.interface import Engine, PendingRequest, RequestFailure, ResponseHeaders

__all__ = ["HttpInvocation", "Invocation", "ResponseWriter"]

_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that closed its connection before the response

_MAX_BUFFERED_BYTES: Final = 32 * 1024 * 1024
_HANDLER_ERROR_STATUS: Final = 500
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Invocation:
    """Base class of invocations: requests an instance and counts the result. Subclasses handle the response.

    Args:
        engine: Assigns the instance.
        counters: Counters of the function.
        payload: Event and context as JSON.
        trace: The trace to record, if any.
    """

    __slots__ = ("_counters", "_engine", "_is_cancelled", "_payload", "_pending_request", "_started_at", "_trace")

    def __init__(self, engine: Engine, counters: FunctionCounters, payload: bytes, trace: Trace | None) -> None:
        self._engine = engine
        self._counters = counters
        self._payload = payload
        self._trace = trace
        self._started_at = monotonic()
        self._pending_request: PendingRequest | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        """Cancel: the client is gone. The request counts with status 499.

        The engine lets the handler finish and frees the instance afterwards.
        """
        self._is_cancelled = True
        self._count_response(_CLIENT_CLOSED_REQUEST)
        if self._pending_request is not None:
            self._engine.cancel(self._pending_request)
            self._pending_request = None

    def on_assigned(self, request: PendingRequest) -> None:
        """Send the request to the assigned instance."""
        self._pending_request = request
        if self._trace is not None:
            self._trace.assigned(request)
        # Dropped here, since the invocation may live for minutes and a payload may have tens of megabytes.
        payload, self._payload = self._payload, b""
        request.send(payload)

    def _count_response(self, status: int) -> None:
        self._counters.count_response(status, monotonic() - self._started_at)
        if self._trace is not None:
            self._trace.finish(status)


class ResponseWriter(Protocol):
    """The connection that a response is written to."""

    def write(self, data: bytes) -> None:
        """Write a piece of the response."""

    def end_response(self, *, complete: bool) -> None:
        """End the response. An incomplete one must be shown to the client by closing the connection."""


class HttpInvocation(Invocation):
    """Writes the response of an instance to a client.

    The body is buffered until its first byte that is not whitespace. Only JSON that starts with an object, a string
    or ``null`` is buffered completely and mapped; everything else is streamed.

    Args:
        engine: Assigns the instance.
        counters: Counters of the function.
        writer: The connection that the response is written to.
        payload: Event and context as JSON.
        is_head_request: Whether this is a HEAD request, whose response has no body.
        keep_alive: Whether the connection stays open.
        trace: The trace to record, if any.
    """

    __slots__ = (
        "_body_parts",
        "_body_size",
        "_buffers_body",
        "_client_status",
        "_content_length",
        "_is_chunked",
        "_is_head_request",
        "_is_head_sent",
        "_keep_alive",
        "_response_headers",
        "_response_status",
        "_writer",
    )

    def __init__(
        self,
        engine: Engine,
        counters: FunctionCounters,
        writer: ResponseWriter,
        payload: bytes,
        *,
        is_head_request: bool,
        keep_alive: bool,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(engine, counters, payload, trace)
        self._writer = writer
        self._client_status = 0  # the status of the response after mapping
        self._is_head_request = is_head_request
        self._keep_alive = keep_alive
        self._response_status = 0
        self._response_headers: tuple[tuple[bytes, bytes], ...] = ()
        self._content_length: int | None = None
        self._body_parts: list[bytes] = []
        self._body_size = 0
        self._buffers_body: bool | None = None  # whether to buffer and map the body; unknown before its first byte
        self._is_head_sent = False
        self._is_chunked = False

    def start(self, function_id: str, request_id: str) -> None:
        """Request an instance from the engine."""
        pending_request = self._engine.acquire(function_id, request_id, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._is_cancelled:
            self._pending_request = pending_request

    def pause(self) -> None:
        """Stop reading from the instance, once streaming: before that, the buffer has its own limit."""
        if self._pending_request is not None and self._is_head_sent:
            self._pending_request.pause()

    def resume(self) -> None:
        """Read from the instance again."""
        if self._pending_request is not None:
            self._pending_request.resume()

    # Listener

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """Store the head of the response."""
        self._response_status = status
        self._content_length, self._response_headers = without_length(headers)
        if status == _HANDLER_ERROR_STATUS:
            self._buffers_body = True

    def on_response_data(self, data: bytes) -> None:
        """Buffer or stream a piece of the body."""
        if self._is_head_sent:
            self._write_body(data)
            return
        self._body_parts.append(data)
        self._body_size += len(data)
        if self._buffers_body is None:
            start = data.lstrip(b" \t\r\n")
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
        self._pending_request = None
        if self._is_head_sent:
            if self._is_chunked:
                self._writer.write(_LAST_CHUNK)
        elif self._response_status == _HANDLER_ERROR_STATUS:
            self._client_status = _HANDLER_ERROR_STATUS
            text = b"".join(self._body_parts).decode("utf-8", "replace")
            self._write_response(
                encode_response(map_failure(text), keep_alive=self._keep_alive, is_head=self._is_head_request)
            )
        elif self._buffers_body:
            self._write_mapped()
        else:
            self._write_unmapped()
        self._count_response(self._client_status)
        self._writer.end_response(complete=True)

    def on_failure(self, failure: RequestFailure) -> None:
        """Write an error response, or abort the one that was started."""
        self._pending_request = None
        if self._is_cancelled:
            return
        response = failure_response(failure)
        self._count_response(response.status)
        if self._is_head_sent:
            self._writer.end_response(complete=False)
            return
        self._write_response(encode_response(response, keep_alive=self._keep_alive, is_head=self._is_head_request))
        self._writer.end_response(complete=True)

    # Writing

    def _write_response(self, data: bytes) -> None:
        self._is_head_sent = True
        self._writer.write(data)

    def _write_mapped(self) -> None:
        headers = [
            (name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._response_headers
        ]
        response = map_response(self._response_status, headers, b"".join(self._body_parts))
        self._client_status = response.status
        self._write_response(encode_response(response, keep_alive=self._keep_alive, is_head=self._is_head_request))

    def _write_unmapped(self) -> None:
        body = self._body_parts[0] if len(self._body_parts) == 1 else b"".join(self._body_parts)
        status, head = pass_through_head(self._response_status, self._response_headers)
        self._client_status = status
        head = complete_head(head, status, len(body), keep_alive=self._keep_alive)
        self._write_response(head if self._is_head_request else head + body)

    def _start_streaming(self) -> None:
        status, head = pass_through_head(self._response_status, self._response_headers)
        self._client_status = status
        self._is_chunked = self._content_length is None and not self._is_head_request
        self._is_head_sent = True
        self._writer.write(complete_head(head, status, self._content_length, keep_alive=self._keep_alive))
        parts, self._body_parts = self._body_parts, []
        for part in parts:
            self._write_body(part)

    def _write_body(self, data: bytes) -> None:
        if not self._is_head_request:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
