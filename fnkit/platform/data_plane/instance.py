"""What a pool knows of an instance, whatever it is: a process of this machine, or one elsewhere.

Its states: *pre-warmed* (assigned to no deployment), *starting* (the handler is being imported), *idle*, *busy*,
*ended*. ``started`` and ``ended`` are futures. The end of a response is reported by a callback, since it happens
with every request.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Protocol

from fnkit.platform.data_plane.body_buffer import BodyBuffer
from fnkit.platform.data_plane.interface import RequestFailure, ResponseHandler


class InstanceState(Enum):
    """The states of an instance."""

    PREWARMED = "prewarmed"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ENDED = "ended"


class AssignedRequest(Protocol):
    """A request as its instance knows it.

    Attributes:
        request_id: Its id, for the log.
        path: The decoded path, for the log.
        handler: Receives the response; ``None`` once the request is complete or cancelled.
    """

    request_id: str
    path: str
    handler: ResponseHandler | None

    def complete(self) -> None:
        """Complete the request: all of the response was delivered to ``handler``."""

    def fail(self, failure: RequestFailure) -> None:
        """End the request without a response, or without the rest of it."""


class Instance(Protocol):
    """Answers one request at a time. It belongs to one deployment, from its start to its end.

    Attributes:
        name: Unique in its engine, for logs and traces.
        state: Its state.
        started: Done when its handler is imported, or its import failed (``True``; it answers requests in both
            cases), or when it ended before (``False``).
        ended: Done when it has ended; a short phrase why.
        idle_since: The virtual time since when it has been idle. The scaler sets it.
        start_began_at: When its start began (``time.monotonic``, as the next two).
        ready_at: When its handler was imported.
        busy_since: When it was assigned its request; 0 while it has none. The pool resets it.
        has_served: Whether it was assigned a request yet.
        was_ready: Whether its handler was imported.
        import_error: The end of the traceback if the import of its handler failed, else empty.
        was_killed_externally: It ended for a reason outside of it and its function, such as the end of its machine.
        request: Its request, which it completes itself. If it ends with one, the pool fails that.
    """

    name: str
    state: InstanceState
    started: asyncio.Future[bool]
    ended: asyncio.Future[str]
    idle_since: float
    start_began_at: float
    ready_at: float
    busy_since: float
    has_served: bool
    was_ready: bool
    import_error: str
    was_killed_externally: bool
    request: AssignedRequest | None

    @property
    def is_terminating(self) -> bool:
        """Whether it is about to end, so that it must get no request."""

    @property
    def is_waiting(self) -> bool:
        """Whether it is alive and waits for what it is sent, as the kernel says now."""

    def assign_request(self, request: AssignedRequest) -> None:
        """Assign a request, which is sent through ``send``, and log it. The instance is busy from now on."""

    def send(self, document: bytes | BodyBuffer) -> None:
        """Send the request: event and context as JSON."""

    def pause(self) -> None:
        """Pause reading the response."""

    def resume(self) -> None:
        """Resume reading."""

    def discard_response(self) -> None:
        """Discard the rest of the response. The instance becomes idle when it has finished."""

    def kill(self, reason: str) -> None:
        """End it now. ``ended`` follows, with the reason of the first call."""
