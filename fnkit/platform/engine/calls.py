"""A pending request of the local engine: queued, then on an instance, then complete."""

from __future__ import annotations

import asyncio
from typing import Protocol

from fnkit.platform.engine.contract import ColdStart, Failure, Listener

__all__ = ["LocalCall", "Server"]


class Server(Protocol):
    """The instance that a request is assigned to."""

    name: str

    def ask(self, document: bytes) -> None:
        """Send the request."""

    def pause(self) -> None:
        """Pause reading the response."""

    def resume(self) -> None:
        """Resume reading."""


class LocalCall:
    """A ``PendingRequest`` of the local engine.

    Attributes:
        handler: Receives the response; ``None`` once the request is complete or cancelled.
        assigned_instance: The instance, while the request is assigned to one.
        timer: Ends the request after the function's timeout.
        queued_at: When it was queued (``time.monotonic``); 0 if it found an idle instance.
        cold_start: The start that it waited for.
    """

    __slots__ = ("cold_start", "listener", "request_id", "server", "timer", "waiting_since")

    def __init__(self, request_id: str, listener: Listener) -> None:
        self.request_id = request_id
        self.listener: Listener | None = listener
        self.server: Server | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.waiting_since = 0.0
        self.cold_start: ColdStart | None = None

    @property
    def instance(self) -> str:
        """The name of the instance; empty until one is assigned."""
        return self.server.name if self.server is not None else ""

    @property
    def has_waited(self) -> bool:
        """Whether the request was queued."""
        return self.waiting_since > 0

    def send(self, document: bytes) -> None:
        """Send the request to its instance."""
        if self.server is not None:
            self.server.ask(document)

    def pause(self) -> None:
        """Pause reading the response."""
        if self.server is not None:
            self.server.pause()

    def resume(self) -> None:
        """Resume reading."""
        if self.server is not None:
            self.server.resume()

    def end(self) -> None:
        """Complete the request."""
        listener = self._settle()
        if listener is not None:
            listener.answer_ended()

    def fail(self, failure: Failure) -> None:
        """End the request without a response."""
        listener = self._settle()
        if listener is not None:
            listener.failed(failure)

    def _settle(self) -> Listener | None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.server = None
        listener, self.listener = self.listener, None
        return listener
