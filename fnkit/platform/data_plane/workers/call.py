"""A pending request of the local engine: queued, then on an instance, then complete."""

from __future__ import annotations

import asyncio
from typing import Protocol

from fnkit.platform.data_plane.interface import ColdStart, RequestFailure, ResponseHandler

__all__ = ["AssignedInstance", "LocalPendingRequest"]


class AssignedInstance(Protocol):
    """The instance that a request is assigned to."""

    name: str

    def send(self, document: bytes) -> None:
        """Send the request."""

    def pause(self) -> None:
        """Pause reading the response."""

    def resume(self) -> None:
        """Resume reading."""


class LocalPendingRequest:
    """A ``PendingRequest`` of the local engine.

    Attributes:
        handler: Receives the response; ``None`` once the request is complete or cancelled.
        assigned_instance: The instance, while the request is assigned to one.
        timer: Ends the request after the function's timeout.
        queued_at: When it was queued (``time.monotonic``); 0 if it found an idle instance.
        cold_start: The start that it waited for.
    """

    __slots__ = ("assigned_instance", "cold_start", "handler", "queued_at", "request_id", "timer")

    def __init__(self, request_id: str, handler: ResponseHandler) -> None:
        self.request_id = request_id
        self.handler: ResponseHandler | None = handler
        self.assigned_instance: AssignedInstance | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.queued_at = 0.0
        self.cold_start: ColdStart | None = None

    @property
    def instance_name(self) -> str:
        """The name of the instance; empty until one is assigned."""
        return self.assigned_instance.name if self.assigned_instance is not None else ""

    @property
    def was_queued(self) -> bool:
        """Whether the request was queued."""
        return self.queued_at > 0

    def send(self, document: bytes) -> None:
        """Send the request to its instance."""
        if self.assigned_instance is not None:
            self.assigned_instance.send(document)

    def pause(self) -> None:
        """Pause reading the response."""
        if self.assigned_instance is not None:
            self.assigned_instance.pause()

    def resume(self) -> None:
        """Resume reading."""
        if self.assigned_instance is not None:
            self.assigned_instance.resume()

    def complete(self) -> None:
        """Complete the request."""
        listener = self._detach()
        if listener is not None:
            listener.on_response_end()

    def fail(self, failure: RequestFailure) -> None:
        """End the request without a response."""
        listener = self._detach()
        if listener is not None:
            listener.on_failure(failure)

    def _detach(self) -> ResponseHandler | None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.assigned_instance = None
        listener, self.handler = self.handler, None
        return listener
