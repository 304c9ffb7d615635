"""Invocations: a request from the moment it is complete until its response is written.

``Invocation`` requests the instance and counts the result, for HTTP requests and messages alike. ``HttpInvocation``
writes the response to an HTTP client, mapped by the rules of the runtimes or passed through.
"""

from __future__ import annotations

from typing import Final, Protocol

from fnkit.contract.invocation import map_failure, map_response, needs_whole_body
from fnkit.platform.engine.answers import AnswerHeaders
from fnkit.platform.engine.contract import Engine, Failure
from fnkit.platform.engine.meters import FunctionMeter
from fnkit.platform.gateway.asking import Asking
from fnkit.platform.gateway.responses import (
    encode_response,
    failure_response,
    finish_head,
    pass_through_head,
    without_length,
)
from fnkit.platform.gateway.tracing import Trace

__all__ = ["Client", "Exchange"]

_BUFFER_MAX: Final = 32 * 1024 * 1024
_FAILED: Final = 500
_EMPTY_LAST_CHUNK: Final = b"0\r\n\r\n"


class Client(Protocol):
    """The connection that a response is written to."""

    def respond(self, data: bytes) -> None:
        """Write a piece of the response."""

    def responded(self, *, complete: bool) -> None:
        """End the response. An incomplete one must be shown to the client by closing the connection."""


class Exchange(Asking):
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
        "_answered",
        "_chunked",
        "_client",
        "_head_sent",
        "_headers",
        "_is_head",
        "_keep_alive",
        "_length",
        "_parts",
        "_size",
        "_status",
        "_whole",
    )

    def __init__(
        self,
        engine: Engine,
        meter: FunctionMeter,
        client: Client,
        payload: bytes,
        *,
        is_head: bool,
        keep_alive: bool,
        trace: Trace | None = None,
    ) -> None:
        super().__init__(engine, meter, payload, trace)
        self._client = client
        self._answered = 0  # the status of the response after mapping
        self._is_head = is_head
        self._keep_alive = keep_alive
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._length: int | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._whole: bool | None = None  # whether to buffer and map the body; unknown before its first byte
        self._head_sent = False
        self._chunked = False

    def start(self, function_id: str, request_id: str) -> None:
        """Request an instance from the engine."""
        pending_request = self._engine.acquire(function_id, request_id, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._gone:
            self._call = pending_request

    def pause(self) -> None:
        """Stop reading from the instance, once streaming: before that, the buffer has its own limit."""
        if self._call is not None and self._head_sent:
            self._call.pause()

    def resume(self) -> None:
        """Read from the instance again."""
        if self._call is not None:
            self._call.resume()

    # Listener

    def answer_started(self, status: int, headers: AnswerHeaders) -> None:
        """Store the head of the response."""
        self._status = status
        self._length, self._headers = without_length(headers)
        if status == _FAILED:
            self._whole = True

    def answer_data(self, data: bytes) -> None:
        """Buffer or stream a piece of the body."""
        if self._head_sent:
            self._pass_on(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._whole is None:
            start = data.lstrip(b" \t\r\n")
            if start:
                self._whole = needs_whole_body(start[0])
            elif self._size <= _BUFFER_MAX:
                return
        if self._whole:
            if self._size > _BUFFER_MAX:
                self._stream()
        # A complete body is not streamed: its end follows at once, and head and body go out in one write.
        elif self._size != self._length:
            self._stream()

    def answer_ended(self) -> None:
        """Write the response, or its end."""
        self._call = None
        if self._head_sent:
            if self._chunked:
                self._client.respond(_EMPTY_LAST_CHUNK)
        elif self._status == _FAILED:
            self._answered = _FAILED
            text = b"".join(self._parts).decode("utf-8", "replace")
            self._respond_whole(
                encode_response(map_failure(text), keep_alive=self._keep_alive, is_head=self._is_head)
            )
        elif self._whole:
            self._map()
        else:
            self._pass_whole()
        self._count(self._answered)
        self._client.responded(complete=True)

    def failed(self, failure: Failure) -> None:
        """Write an error response, or abort the one that was started."""
        self._call = None
        if self._gone:
            return
        response = failure_response(failure)
        self._count(response.status)
        if self._head_sent:
            self._client.responded(complete=False)
            return
        self._respond_whole(encode_response(response, keep_alive=self._keep_alive, is_head=self._is_head))
        self._client.responded(complete=True)

    # Writing

    def _respond_whole(self, data: bytes) -> None:
        self._head_sent = True
        self._client.respond(data)

    def _map(self) -> None:
        headers = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._headers]
        response = map_response(self._status, headers, b"".join(self._parts))
        self._answered = response.status
        self._respond_whole(encode_response(response, keep_alive=self._keep_alive, is_head=self._is_head))

    def _pass_whole(self) -> None:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        status, head = pass_through_head(self._status, self._headers)
        self._answered = status
        head = finish_head(head, status, len(body), keep_alive=self._keep_alive)
        self._respond_whole(head if self._is_head else head + body)

    def _stream(self) -> None:
        status, head = pass_through_head(self._status, self._headers)
        self._answered = status
        self._chunked = self._length is None and not self._is_head
        self._head_sent = True
        self._client.respond(finish_head(head, status, self._length, keep_alive=self._keep_alive))
        parts, self._parts = self._parts, []
        for part in parts:
            self._pass_on(part)

    def _pass_on(self, data: bytes) -> None:
        if not self._is_head:
            self._client.respond(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
