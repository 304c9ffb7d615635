"""uvicorn's HTTP protocol, with what keeps slow clients from taking every connection: deadlines and a bound."""

from __future__ import annotations

import asyncio
import resource
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_RESERVED_DESCRIPTORS: Final = 128  # for files, sockets of other processes, the database
_TIMEOUT_RESPONSE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\n"
    b"connection: close\r\n"
    b"content-length: 0\r\n\r\n"
)  # fmt: skip


class ApiHttpProtocol(HttpToolsProtocol):
    """A connection to the API.

    A client has ``head_timeout`` seconds for the head of a request, and then ``body_timeout`` seconds for each part
    of its body. When ``max_connections`` are open, the one that has been without a complete request for longest is
    closed for a new one.
    """

    head_timeout: ClassVar[float] = 20.0
    body_timeout: ClassVar[float] = 60.0
    max_connections: ClassVar[int] = 2048

    waiting_since: float | None = None
    """Since when there has been no complete request, in the event loop's time; ``None`` while one is processed."""
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Accept the connection, in place of the longest waiting one if there are too many."""
        super().connection_made(transport)
        self._wait(self.head_timeout)
        if len(self.connections) > self.max_connections:
            waiting = [
                one
                for one in self.connections
                if isinstance(one, ApiHttpProtocol) and one.waiting_since is not None
            ]
            min(waiting, key=lambda one: one.waiting_since or 0.0).transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the deadline of the request's head."""
        super().on_message_begin()
        if self._deadline is None:
            self._wait(self.head_timeout)

    def on_headers_complete(self) -> None:
        """Start the deadline of the request's body."""
        super().on_headers_complete()
        self._wait(self.body_timeout)

    def on_body(self, body: bytes) -> None:
        """Give the client more time for the rest of the body."""
        super().on_body(body)
        self._wait(self.body_timeout)

    def on_message_complete(self) -> None:
        """Stop waiting: the request is complete."""
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, for as long as uvicorn keeps idle connections."""
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol: its request is complete."""
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def _wait(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        now = self.loop.time()
        if self.waiting_since is None:
            self.waiting_since = now
        self._deadline = self.loop.call_at(now + seconds, self._on_deadline)

    def _stop_waiting(self) -> None:
        self.waiting_since = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        if self.flow.read_paused:  # the platform is slow, not the client
            self._wait(self.body_timeout)
        elif not self.transport.is_closing():
            # A request in progress has its own response. uvicorn has no cycle before the first request.
            if getattr(self.cycle, "response_complete", True):
                self.transport.write(_TIMEOUT_RESPONSE)
            self.transport.close()


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as ``max_connections`` needs, if the hard limit permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ApiHttpProtocol.max_connections + _RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY:
        ApiHttpProtocol.max_connections = min(
            ApiHttpProtocol.max_connections, max(16, soft - _RESERVED_DESCRIPTORS)
        )
