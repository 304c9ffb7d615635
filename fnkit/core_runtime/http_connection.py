"""One connection of a client: requests in, responses out in the same order, and a deadline for everything."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol, cast

from fnkit.contract.invocation.http_head import REQUEST_BODY_MAX_BYTES, json_message, overload_response
from fnkit.contract.invocation.response import MappedResponse
from fnkit.core_runtime.http_request import RequestHead, RequestParser, RequestRefused
from fnkit.core_runtime.http_response import CONTINUE, encode_response
from fnkit.core_runtime.invocation import CoreInvocation
from fnkit.core_runtime.listener import client_address
from fnkit.core_runtime.memory import BodyBudget, MemoryExhausted
from fnkit.core_runtime.received_request import ReceivedRequest
from fnkit.core_runtime.settings import CoreRuntimeSettings

_SLOWEST_BODY: Final = 16 * 1024  # bytes per second
_LINGER_SECONDS: Final = 2.0  # for the client to read its response before the socket is closed
_MAX_PIPELINED: Final = 16  # requests read ahead; each may hold a body in memory
_MAX_UNSENT_BYTES: Final = 32 * 1024 * 1024
_DIRECT_BODY_MAX_BYTES: Final = 6 * REQUEST_BODY_MAX_BYTES + 1024 * 1024
"""The JSON of a body takes at most six bytes for each of its bytes."""


class ConnectionOwner(Protocol):
    """What connections share.

    Attributes:
        settings: The settings of the function.
        budget: The memory of all bodies.
        connections: The open connections, which register themselves.
    """

    settings: CoreRuntimeSettings
    budget: BodyBudget
    connections: set[CoreConnection]

    @property
    def is_stopping(self) -> bool:
        """Whether no further request is accepted."""

    def make_room(self) -> bool:
        """Close a connection if there are too many; return whether there is room for another one."""

    def remove(self, connection: CoreConnection) -> None:
        """Forget a connection that is closed."""

    def create_invocation(self, request: ReceivedRequest, connection: CoreConnection) -> CoreInvocation:
        """Return the invocation for a complete request; the caller starts it."""


class CoreConnection(asyncio.Protocol):
    """A connection. It serves one request at a time; further ones wait in ``_pipeline``.

    After ``_is_read_closed`` is set, input is ignored, and the connection closes once the responses that are due
    have been written.
    """

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._client_host = ""
        self._parser = RequestParser(self)
        self._arriving: ReceivedRequest | None = None
        self._pipeline: deque[ReceivedRequest] = deque()
        self._current: ReceivedRequest | None = None
        self._invocation: CoreInvocation | None = None
        self._is_in_request = False
        self._is_read_closed = False
        self._is_read_paused = False
        self._is_write_paused = False
        self._closes_after_response = False
        self._unsent_counted = 0  # bytes of the write buffer in the memory budget
        self._written = 0
        self._read_checked_at = 0.0  # while the client reads too slowly
        self._read_when_checked = 0
        self._request_began_at = 0.0
        self._last_activity = self._loop.time()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection, if there is room for it."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client_host = client_address(str(peer[0])) if isinstance(peer, tuple) else "127.0.0.1"
        if self._owner.is_stopping or not self._owner.make_room():
            self._is_read_closed = True
            self._transport.abort()
            return
        self._owner.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget everything, and give the worker up to others."""
        self._owner.remove(self)
        self._is_read_closed = True
        self._pipeline.clear()
        self._arriving = None
        self._current = None
        self._release_unsent()
        invocation, self._invocation = self._invocation, None
        if invocation is not None:
            invocation.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is written to."""
        self._is_write_paused = True
        self._read_checked_at = self._loop.time()
        self._read_when_checked = self._written - self._unsent_bytes()

    def resume_writing(self) -> None:
        """Continue with the response, or with the next request."""
        self._is_write_paused = False
        self._release_unsent()
        self._last_activity = self._loop.time()
        if self._invocation is not None:
            self._invocation.resume()
        self._start_next()

    @property
    def waiting_since(self) -> float | None:
        """Since when it waits for its client; ``None`` while a request is in progress."""
        if self._current is not None or (self._pipeline and self._pipeline[0].is_complete):
            return None
        return self._request_began_at if self._is_in_request else self._last_activity

    def check_deadlines(self, now: float) -> None:
        """Close the connection if its client stalls within a request or a response, or is idle.

        The time counts from the first byte. Otherwise a client that sends or reads a byte now and then could hold
        the connection, and the memory of a body, forever (slowloris).
        """
        settings = self._owner.settings
        if self._is_write_paused:
            if now - self._read_checked_at > settings.request_seconds:
                self._check_reading(now)
        elif self._current is not None or (self._pipeline and self._pipeline[0].is_complete):
            return  # the client waits
        elif self._is_in_request:
            size = len(self._arriving.body.content) if self._arriving is not None else 0
            allowed = settings.request_seconds + size / _SLOWEST_BODY
            is_silent = now - self._last_activity > settings.request_seconds
            if (is_silent or now - self._request_began_at > allowed) and not self._is_read_closed:
                self._fail_connection(json_message(408, "the request did not arrive in time"))
        elif now - self._last_activity > settings.idle_seconds:
            self.abort()

    def _check_reading(self, now: float) -> None:
        read = self._written - self._unsent_bytes()
        if read - self._read_when_checked < (now - self._read_checked_at) * _SLOWEST_BODY:
            self.abort()
        self._read_checked_at, self._read_when_checked = now, read

    def close_when_idle(self) -> None:
        """Close now if no request is in progress, else after the response."""
        self._closes_after_response = True
        if self._current is None and not self._pipeline:
            self._is_read_closed = True
            if self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """Close now, whatever has not been sent."""
        if self._transport is not None:
            self._transport.abort()

    # Requests

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        if self._is_read_closed:
            return
        self._last_activity = self._loop.time()
        try:
            self._parser.feed(data)
        except RequestRefused as rejected:
            self._fail_connection(rejected.response)

    def on_begin(self) -> None:
        """Start the deadline of the request."""
        self._is_in_request = True
        self._request_began_at = self._loop.time()

    def on_head(self, head: RequestHead) -> None:
        """Check the request, so that an error is sent before the body arrives, and queue it."""
        request = ReceivedRequest(head, self._client_host, self._owner.settings, self._owner.budget)
        self._arriving = request
        try:
            request.check()
        except RequestRefused as rejected:
            if rejected.closes:
                raise
            request.response = rejected.response
        if request.expects_continue and self._current is None and not self._pipeline and head.has_body:
            self.write(CONTINUE)
        self._pipeline.append(request)

    def on_body(self, data: bytes) -> None:
        """Append a piece of the body, within the limit."""
        request = self._arriving
        if request is None:
            return
        try:
            request.body.append(data)
        except MemoryExhausted:
            raise RequestRefused(overload_response()) from None
        limit = _DIRECT_BODY_MAX_BYTES if self._owner.settings.has_gateway else REQUEST_BODY_MAX_BYTES
        if len(request.body.content) > limit:
            raise RequestRefused(json_message(413, f"the body exceeds {limit} bytes"))

    def on_complete(self) -> None:
        """Start the request if it is next; stop reading if the pipeline is full."""
        self._is_in_request = False
        if self._arriving is not None:
            self._arriving.is_complete = True
            self._arriving = None
        if self._current is None:
            self._start_next()
        if len(self._pipeline) >= _MAX_PIPELINED and self._transport is not None and not self._is_read_paused:
            self._is_read_paused = True
            self._transport.pause_reading()

    def _start_next(self) -> None:
        """Start the next complete request, unless earlier responses are still buffered.

        Without that condition a client that pipelines requests and never reads would fill the memory.
        """
        if (
            self._current is not None
            or not self._pipeline
            or not self._pipeline[0].is_complete
            or self._is_write_paused
            or not self._is_open
        ):
            return
        request = self._current = self._pipeline.popleft()
        if self._is_read_paused and self._transport is not None:
            self._is_read_paused = False
            self._transport.resume_reading()
        if request.response is None:
            self._invocation = self._owner.create_invocation(request, self)
            self._invocation.start()
        else:
            response = encode_response(
                request.response, keep_alive=self.keep_alive, is_head=request.is_head, nonce=request.nonce
            )
            self.write(response)
            self.end_response(is_complete=True)

    def _fail_connection(self, response: MappedResponse) -> None:
        """Send this error after the responses that are due, then close: the input cannot be parsed further."""
        self._is_read_closed = True
        failed, self._arriving = self._arriving, None
        self._is_in_request = False
        if self._pipeline and self._pipeline[-1] is failed:
            self._pipeline.pop()  # its rest will not be read
        head = failed.head if failed is not None else RequestHead("", b"", "1.1")
        request = ReceivedRequest(head, self._client_host, self._owner.settings, self._owner.budget)
        request.response = response
        request.is_complete = True
        self._closes_after_response = self._closes_after_response or (self._current is None and not self._pipeline)
        self._pipeline.append(request)
        self._start_next()

    # Responses

    @property
    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow the current one."""
        if self._closes_after_response or self._owner.is_stopping:
            return False
        is_last = self._is_read_closed and not self._pipeline
        return not is_last and self._current is not None and self._current.head.keep_alive

    def write(self, data: bytes) -> bool:
        """Write, and return whether the client keeps up, or memory is left for what it has not read."""
        if self._transport is None or self._transport.is_closing():
            return True
        self._written += len(data)
        self._transport.write(data)
        if not self._is_write_paused:
            return True
        unsent = self._unsent_bytes()
        grown = unsent - self._unsent_counted
        has_memory = self._owner.budget.has(grown, unsent)
        self._owner.budget.used += grown
        self._unsent_counted = unsent
        return has_memory and unsent <= _MAX_UNSENT_BYTES

    def _unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _release_unsent(self) -> None:
        self._owner.budget.used -= self._unsent_counted
        self._unsent_counted = 0

    def end_response(self, *, is_complete: bool) -> None:
        """End the current request: start the next one, or close the connection.

        Args:
            is_complete: Whether the response was written completely. If not, the connection is aborted, which is
                how the client notices (RFC 9112 section 8).
        """
        closes = not self.keep_alive
        self._current = self._invocation = None
        self._last_activity = self._loop.time()
        if not is_complete:
            self.abort()
        elif closes:
            self._pipeline.clear()  # nothing may follow this response, not even an error
            self._close_after_linger()
        elif self._pipeline:
            self._loop.call_soon(self._start_next)  # not called directly: pipelined errors would recurse

    def _close_after_linger(self) -> None:
        """Close, with a delay if the client may still be sending.

        Closing a socket with unread input makes the kernel send RST, and the client may lose the response before it
        has read it (RFC 9112 section 9.6). So only the write side is closed first.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_read_closed and self._transport.can_write_eof():
            self._transport.write_eof()
            self._loop.call_later(_LINGER_SECONDS, self._transport.close)
        else:
            self._is_read_closed = True
            self._transport.close()
