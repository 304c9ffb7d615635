"""Invocations: a request or a message from the moment it is complete until its response is sent.

``Invocation`` requests an instance, receives its response, maps it by the rules of the runtimes and counts it.
Subclasses say how a response is sent: ``HttpInvocation`` writes it to an HTTP client, also while it arrives, and
``DeliveryInvocation`` reports the outcome of a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, Protocol

from fnkit.contract.invocation.http_head import (
    RESPONSE_BODY_MAX_BYTES,
    encode_head,
    json_message,
    overload_response,
)
from fnkit.contract.invocation.response import MappedResponse, needs_complete_body
from fnkit.platform.data_plane.body_buffer import LARGE_BODY_BYTES, BodyBuffer, BodyMemoryExhausted
from fnkit.platform.data_plane.gateway.conversion import BodyConverter, ConversionError, LargeEvent
from fnkit.platform.data_plane.gateway.request import ClientRequest
from fnkit.platform.data_plane.gateway.response import (
    complete_head,
    encode_response,
    failure_response,
    is_handler_error,
    map_worker_response,
    pass_through_head,
    with_content_type,
    without_length,
)
from fnkit.platform.data_plane.interface import Engine, PendingRequest, RequestFailure, ResponseHeaders
from fnkit.platform.model.delivery_protocol import DeliveryResponse
from fnkit.platform.model.routing import Route

MAX_ERROR_EXCERPT_BYTES: Final = 300
"""Bytes of an error body that are reported to control."""

_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that closed its connection before the response
_FAILURE_STATUS: Final = 300
_JSON_WHITESPACE: Final = b" \t\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


class RequestObserver(Protocol):
    """Is told the course of one request."""

    def assigned(self, pending_request: PendingRequest) -> None:
        """The request was assigned to an instance."""

    def finish(self, status: int) -> None:
        """The response was written, or the client is gone."""


class Invocation:
    """Base class of invocations, and the ``ResponseHandler`` of the engine.

    A response whose body is a JSON object, a string or ``null`` is mapped, and so is every error of a handler. All
    others are sent unchanged, as are those of more than 32 MiB. Large bodies are converted in a task meanwhile.

    Args:
        engine: Assigns the instance.
        converter: Converts large bodies.
        route: The deployment.
        request_id: The id of the request.
        path: The path of the request.
        payload: Event and context as JSON, or what they are made of if the body is large.
        observers: What is told the course of the request: its trace, and the log of responses.
    """

    __slots__ = (
        "_body",
        "_body_size",
        "_content_length",
        "_conversion",
        "_converter",
        "_counters",
        "_engine",
        "_event",
        "_function_id",
        "_is_cancelled",
        "_is_mapped",
        "_observers",
        "_path",
        "_payload",
        "_pending_request",
        "_request_id",
        "_response_headers",
        "_response_status",
        "_started_at",
    )

    def __init__(
        self,
        engine: Engine,
        converter: BodyConverter,
        route: Route,
        request_id: str,
        path: str,
        payload: bytes | LargeEvent,
        observers: tuple[RequestObserver, ...],
    ) -> None:
        self._engine = engine
        self._converter = converter
        self._counters = engine.counters.get_or_create(route)
        self._function_id = route.function_id
        self._request_id = request_id
        self._path = path
        self._event = payload if isinstance(payload, LargeEvent) else None
        self._payload: bytes | BodyBuffer = payload if isinstance(payload, bytes) else b""
        self._conversion: asyncio.Task[None] | None = None
        self._observers = observers
        self._started_at = monotonic()
        self._pending_request: PendingRequest | None = None
        self._is_cancelled = False
        self._response_status = 0
        self._response_headers: ResponseHeaders = ()  # without Content-Length
        self._content_length: int | None = None
        self._is_mapped: bool | None = None  # unknown before the first byte of the body
        self._body: bytes | BodyBuffer = b""
        self._body_size = 0

    def start(self) -> None:
        """Request an instance from the engine."""
        event, self._event = self._event, None
        if event is None:
            self._acquire()
        else:
            self._conversion = asyncio.get_running_loop().create_task(self._encode_and_acquire(event))

    async def _encode_and_acquire(self, event: LargeEvent) -> None:
        try:
            self._payload = await self._converter.encode_event(event)
        except BodyMemoryExhausted:
            self._end(overload_response())
        except ConversionError as error:
            self._end(json_message(502, str(error)))
        else:
            self._acquire()

    def _acquire(self) -> None:
        pending_request = self._engine.acquire(self._function_id, self._request_id, self._path, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._is_cancelled:
            self._pending_request = pending_request

    def cancel(self) -> None:
        """Cancel: the client is gone. The request counts with status 499.

        The engine lets the handler finish and frees the instance afterwards.
        """
        self._is_cancelled = True
        self._count_response(_CLIENT_CLOSED_REQUEST)
        if self._conversion is not None:
            self._conversion.cancel()
            self._conversion = None
        if self._pending_request is not None:
            self._engine.cancel(self._pending_request)
            self._pending_request = None

    # ResponseHandler

    def on_assigned(self, request: PendingRequest) -> None:
        """Send the request to the assigned instance."""
        self._pending_request = request
        for observer in self._observers:
            observer.assigned(request)
        # Dropped here, since the invocation may live for minutes and a payload may have tens of megabytes.
        payload, self._payload = self._payload, b""
        request.send(payload)

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """Store the head of the response."""
        self._response_status = status
        self._content_length, self._response_headers = without_length(headers)
        if is_handler_error(status):
            self._is_mapped = True

    def on_response_data(self, data: bytes) -> None:
        """Buffer a piece of the body; discard it beyond the size up to which a body is mapped."""
        self._body_size += len(data)
        if self._is_mapped is None and (start := data.lstrip(_JSON_WHITESPACE)):
            self._is_mapped = needs_complete_body(start[0])
            if not self._is_mapped:
                self._response_headers = with_content_type(self._response_headers, data)
        if self._body_size <= RESPONSE_BODY_MAX_BYTES:
            try:
                self._buffer(data)
            except BodyMemoryExhausted:
                self._abandon(overload_response())

    def _buffer(self, data: bytes) -> None:
        if isinstance(self._body, bytes):
            if self._body_size == len(data) <= LARGE_BODY_BYTES:
                self._body = data  # most responses have one piece
                return
            first, self._body = self._body, BodyBuffer(self._converter.memory)
            self._body.append(first)
        self._body.append(data)

    def on_response_end(self) -> None:
        """Send the response."""
        self._pending_request = None
        body, self._body = self._body, b""
        if isinstance(body, BodyBuffer) and not body.is_large:
            body = body.join()
        if not self._is_mapped or self._body_size > RESPONSE_BODY_MAX_BYTES:
            self._send_body(*pass_through_head(self._response_status, self._response_headers), body)
        elif isinstance(body, BodyBuffer):
            self._conversion = asyncio.get_running_loop().create_task(self._map_and_send(body))
        else:
            response = map_worker_response(self._response_status, self._response_headers, body)
            self._end(response, from_function=True)

    async def _map_and_send(self, body: BodyBuffer) -> None:
        try:
            status, headers, content = await self._converter.map_response(
                self._response_status, self._response_headers, body
            )
        except BodyMemoryExhausted:
            self._end(overload_response())
        except ConversionError as error:
            self._end(json_message(502, str(error)))
        else:
            self._send_body(status, encode_head(status, headers), content)

    def _abandon(self, response: MappedResponse) -> None:
        """Send this response instead of the instance's."""
        pending_request, self._pending_request = self._pending_request, None
        if pending_request is not None:
            self._engine.cancel(pending_request)
        self._is_cancelled = True
        self._body = b""
        self._end(response)

    def on_failure(self, failure: RequestFailure) -> None:
        """Send the gateway's error response."""
        self._pending_request = None
        if self._is_cancelled:
            return
        self._end(failure_response(failure))

    def _end(self, response: MappedResponse, *, from_function: bool = False) -> None:
        self._send_response(response, from_function=from_function)
        self._count_response(response.status)

    def _count_response(self, status: int) -> None:
        self._counters.count_response(status, monotonic() - self._started_at)
        for observer in self._observers:
            observer.finish(status)

    # How a response is sent

    def _send_response(self, response: MappedResponse, *, from_function: bool) -> None:
        """Send a complete response: the mapped one of the function, or an error of the gateway."""
        raise NotImplementedError

    def _send_body(self, status: int, head: bytes, body: bytes | BodyBuffer) -> None:
        """Send a complete response of the function with its encoded head, and count it."""
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
        converter: Converts large bodies.
        route: The deployment.
        path: The path of the request.
        payload: Event and context as JSON, or what they are made of if the body is large.
        observers: What is told the course of the request: its trace, and the log of responses.
        request: The request.
        writer: The connection that the response is written to.
    """

    __slots__ = (
        "_client_status",
        "_is_chunked",
        "_is_head_request",
        "_is_paused",
        "_is_streaming",
        "_keep_alive",
        "_unsent",
        "_writer",
    )

    def __init__(
        self,
        engine: Engine,
        converter: BodyConverter,
        route: Route,
        path: str,
        payload: bytes | LargeEvent,
        observers: tuple[RequestObserver, ...],
        request: ClientRequest,
        writer: ResponseWriter,
    ) -> None:
        super().__init__(engine, converter, route, request.id, path, payload, observers)
        self._writer = writer
        self._is_head_request = request.method == "HEAD"
        self._keep_alive = request.keep_alive
        self._is_paused = False  # the client reads too slowly
        self._unsent: Iterator[bytes] | None = None  # what is left of a complete body
        self._is_streaming = False
        self._is_chunked = False
        self._client_status = 0  # of a streamed response

    def pause(self) -> None:
        """Stop writing, and reading from the instance once streaming: before, the buffer has its own limit."""
        self._is_paused = True
        if self._pending_request is not None and self._is_streaming:
            self._pending_request.pause()

    def resume(self) -> None:
        """Write and read again."""
        self._is_paused = False
        if self._pending_request is not None:
            self._pending_request.resume()
        elif self._unsent is not None:
            self._write_unsent(self._unsent)

    def on_response_data(self, data: bytes) -> None:
        """Buffer or stream a piece of the body."""
        if self._is_streaming:
            self._write_body(data)
            return
        super().on_response_data(data)
        if self._is_cancelled:
            return
        if self._body_size > RESPONSE_BODY_MAX_BYTES:
            self._start_streaming()
            self._write_body(data)  # which was too much to be buffered
        # A complete body is not streamed: its end follows at once, and head and body go out in one write.
        elif self._is_mapped is False and self._body_size != self._content_length:
            self._start_streaming()

    def on_response_end(self) -> None:
        """Write the response, or its end."""
        if not self._is_streaming:
            super().on_response_end()
            return
        self._pending_request = None
        if self._is_chunked:
            self._writer.write(_LAST_CHUNK)
        self._finish()

    def _send_response(self, response: MappedResponse, *, from_function: bool) -> None:
        del from_function
        if self._is_streaming:  # a failure after the head was written
            self._writer.end_response(complete=False)
            return
        self._writer.write(encode_response(response, keep_alive=self._keep_alive, is_head=self._is_head_request))
        self._writer.end_response(complete=True)

    def _send_body(self, status: int, head: bytes, body: bytes | BodyBuffer) -> None:
        size = len(body) if isinstance(body, bytes) else body.size
        head = complete_head(head, status, size, keep_alive=self._keep_alive)
        self._client_status = status
        if self._is_head_request:
            self._writer.write(head)
            self._finish()
        elif isinstance(body, bytes):
            self._writer.write(head + body)
            self._finish()
        else:
            self._writer.write(head)
            self._unsent = body.drain()
            self._write_unsent(self._unsent)

    def _write_unsent(self, pieces: Iterator[bytes]) -> None:
        while not self._is_paused:
            piece = next(pieces, None)
            if piece is None:
                self._unsent = None
                self._finish()
                return
            self._writer.write(piece)

    def _finish(self) -> None:
        self._writer.end_response(complete=True)
        self._count_response(self._client_status)

    def _start_streaming(self) -> None:
        status, head = pass_through_head(self._response_status, self._response_headers)
        self._client_status = status
        self._is_chunked = self._content_length is None and not self._is_head_request
        self._is_streaming = True
        self._writer.write(complete_head(head, status, self._content_length, keep_alive=self._keep_alive))
        body, self._body = self._body, b""
        for piece in (body,) if isinstance(body, bytes) else body.drain():
            self._write_body(piece)

    def _write_body(self, data: bytes) -> None:
        if data and not self._is_head_request:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)


class DeliveryInvocation(Invocation):
    """Delivers one message and reports the status that an HTTP client would get.

    Args:
        engine: Assigns the instance.
        converter: Converts large bodies.
        route: The deployment.
        request_id: The id of the request.
        path: The path of the request.
        payload: Event and context as JSON, or what they are made of if the body is large.
        observers: What is told the course of the request: its trace, and the log of responses.
        on_done: Called once with the outcome, unless the invocation is cancelled.
    """

    __slots__ = ("_on_done",)

    def __init__(
        self,
        engine: Engine,
        converter: BodyConverter,
        route: Route,
        request_id: str,
        path: str,
        payload: bytes | LargeEvent,
        observers: tuple[RequestObserver, ...],
        on_done: Callable[[DeliveryResponse], None],
    ) -> None:
        super().__init__(engine, converter, route, request_id, path, payload, observers)
        self._on_done = on_done

    def _send_response(self, response: MappedResponse, *, from_function: bool) -> None:
        self._report(response.status, response.body, from_function=from_function)

    def _send_body(self, status: int, head: bytes, body: bytes | BodyBuffer) -> None:
        del head
        self._report(status, body if isinstance(body, bytes) else next(body.drain(), b""), from_function=True)
        self._count_response(status)

    def _report(self, status: int, body: bytes, *, from_function: bool) -> None:
        excerpt = body[:MAX_ERROR_EXCERPT_BYTES] if status >= _FAILURE_STATUS else b""
        self._on_done(DeliveryResponse(status, from_function=from_function, error_excerpt=excerpt))
