"""The HTTP server: accepts connections, bounds their number and their memory, and ends them.

All connections share one thread, which sees every deadline, and sees that the client of a waiting request has gone.
A thread for each would cost a slow client nothing, and the function the memory of a stack.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from fnkit.core_runtime.http_connection import CoreConnection
from fnkit.core_runtime.invocation import CoreInvocation, DirectInvocation, EventInvocation, ProbeInvocation
from fnkit.core_runtime.memory import BodyBudget, BodyBytes
from fnkit.core_runtime.received_request import ReceivedRequest
from fnkit.core_runtime.settings import CoreRuntimeSettings
from fnkit.core_runtime.worker_process import WorkerProcess

_CONNECTIONS_MAX: Final = 512
_BACKLOG: Final = 512
_PROBE_METHODS: Final = ("GET", "HEAD")
_CHECKS_PER_DEADLINE: Final = 10
_CHECK_INTERVAL_MAX: Final = 5.0


class CoreServer:
    """Serves one worker over HTTP. Lives on one event loop.

    Attributes:
        settings: The settings of the function.
        budget: The memory of all bodies.
        connections: The open connections, which register themselves.
        closed: Done when the server was stopped and no connection is left.
    """

    def __init__(self, settings: CoreRuntimeSettings, worker: WorkerProcess) -> None:
        self.settings = settings
        share = 1.0 if settings.has_gateway else 0.25
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self.budget = BodyBudget.for_memory(settings.memory, share=share)
        self.connections: set[CoreConnection] = set()
        self._is_stopped = False
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._server: asyncio.AbstractServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        shortest = min(settings.request_seconds, settings.idle_seconds)
        self._check_interval = min(shortest / _CHECKS_PER_DEADLINE, _CHECK_INTERVAL_MAX)

    @property
    def is_stopping(self) -> bool:
        """Whether no further request is accepted."""
        return self._is_stopped or self._worker.is_ending

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections from now on."""
        self._server = await self._loop.create_server(lambda: CoreConnection(self), sock=listener, backlog=_BACKLOG)
        self._check_deadlines()

    def _check_deadlines(self) -> None:
        now = self._loop.time()
        for connection in list(self.connections):
            connection.check_deadlines(now)
        self._timer = self._loop.call_later(self._check_interval, self._check_deadlines)

    def make_room(self) -> bool:
        """Close the connection that has waited longest for its client, if there are too many."""
        if len(self.connections) < _CONNECTIONS_MAX:
            return True
        waiting = [(since, id(one), one) for one in self.connections if (since := one.waiting_since) is not None]
        if not waiting:
            return False
        oldest = min(waiting)[-1]
        self.remove(oldest)  # now, although its end is reported later
        oldest.abort()
        return True

    def remove(self, connection: CoreConnection) -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        self._check_closed()

    def _check_closed(self) -> None:
        if self._is_stopped and not self.connections and not self.closed.done():
            self.closed.set_result(None)

    def create_invocation(self, request: ReceivedRequest, connection: CoreConnection) -> CoreInvocation:
        """Return the invocation for a complete request; the caller starts it."""
        if self.settings.has_gateway and request.head.method in _PROBE_METHODS:
            return ProbeInvocation(self._worker, connection, nonce=request.nonce)
        if self.settings.has_gateway:
            return DirectInvocation(
                self._worker, connection, request.body, nonce=request.nonce, request_id=request.request_id
            )
        return EventInvocation(
            self._worker,
            connection,
            path=request.path,
            document=request,
            buffer=BodyBytes(self.budget),
            is_head=request.is_head,
        )

    def stop(self) -> None:
        """Accept nothing more; close idle connections now, the others after their current response."""
        self._is_stopped = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close_when_idle()
        self._check_closed()
