"""One request in the local engine: waiting, then on an instance, then over."""

from __future__ import annotations

import asyncio
from typing import Protocol

from fnkit.platform.engine.contract import ColdStart, Failure, Listener

__all__ = ["LocalCall", "Server"]


class Server(Protocol):
    """What a call needs of the instance that serves it."""

    name: str

    def ask(self, document: bytes) -> None:
        """Send the request."""

    def pause(self) -> None:
        """Stop reading the answer."""

    def resume(self) -> None:
        """Read on."""


class LocalCall:
    """See ``Call``. ``listener`` is ``None`` once nobody waits any more."""

    __slots__ = ("cold_start", "listener", "request_id", "server", "timer", "waiting_since")

    def __init__(self, request_id: str, listener: Listener) -> None:
        self.request_id = request_id
        self.listener: Listener | None = listener
        self.server: Server | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.waiting_since = 0.0  # time.monotonic; 0 where it found an idle instance
        self.cold_start: ColdStart | None = None

    @property
    def instance(self) -> str:
        """See ``Call``."""
        return self.server.name if self.server is not None else ""

    @property
    def has_waited(self) -> bool:
        """See ``Call``."""
        return self.waiting_since > 0

    def send(self, document: bytes) -> None:
        """See ``Call``."""
        if self.server is not None:
            self.server.ask(document)

    def pause(self) -> None:
        """Stop reading the answer."""
        if self.server is not None:
            self.server.pause()

    def resume(self) -> None:
        """Read on."""
        if self.server is not None:
            self.server.resume()

    def end(self) -> None:
        """The answer is complete."""
        listener = self._settle()
        if listener is not None:
            listener.answer_ended()

    def fail(self, failure: Failure) -> None:
        """There is no answer."""
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
