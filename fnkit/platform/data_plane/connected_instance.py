"""An instance with a connection of its own, over which it gets one request at a time as HTTP.

What differs is how an instance starts and ends, and where its output comes from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import cast

from fnkit.platform.data_plane.body_buffer import LARGE_BODY_BYTES, BodyBuffer
from fnkit.platform.data_plane.instance import AssignedRequest, InstanceState
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.response_reader import ProtocolViolation, ResponseReader


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
        self.was_killed_externally = False
        self._function_id = ""
        self._request_id = ""
        self._logs = logs
        self._on_idle: Callable[[ConnectedInstance], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._response_reader = response_reader
        self._is_paused = False
        self._is_write_paused = False
        self._unsent: Iterator[bytes] = iter(())  # what is left of a large request

    @property
    def is_terminating(self) -> bool:
        """Whether it is about to end, so that it must get no request."""
        return bool(self.reason)

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
