"""Invocations: a request from the moment it is complete until its response is written."""

from __future__ import annotations

from time import monotonic
from typing import Final

from fnkit.platform.engine.contract import PendingRequest, Engine
from fnkit.platform.engine.meters import FunctionCounters
from fnkit.platform.gateway.tracing import Trace

__all__ = ["Invocation"]

_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's status for a client that closed its connection before the response


class Invocation:
    """Base class of invocations: requests an instance and counts the result. Subclasses handle the response.

    Args:
        engine: Assigns the instance.
        counters: Counters of the function.
        payload: Event and context as JSON.
        trace: The trace to record, if any.
    """

    __slots__ = ("_started_at", "_pending_request", "_engine", "_is_cancelled", "_counters", "_payload", "_trace")

    def __init__(self, engine: Engine, counters: FunctionCounters, payload: bytes, trace: Trace | None) -> None:
        self._engine = engine
        self._counters = counters
        self._payload = payload
        self._trace = trace
        self._started_at = monotonic()
        self._pending_request: PendingRequest | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        """Cancel: the client is gone. The request counts with status 499.

        The engine lets the handler finish and frees the instance afterwards.
        """
        self._is_cancelled = True
        self._count_response(_CLIENT_CLOSED_REQUEST)
        if self._pending_request is not None:
            self._engine.cancel(self._pending_request)
            self._pending_request = None

    def on_assigned(self, request: PendingRequest) -> None:
        """Send the request to the assigned instance."""
        self._pending_request = request
        if self._trace is not None:
            self._trace.assigned(request)
        # Dropped here, since the invocation may live for minutes and a payload may have tens of megabytes.
        payload, self._payload = self._payload, b""
        request.send(payload)

    def _count_response(self, status: int) -> None:
        self._counters.count_response(status, monotonic() - self._started_at)
        if self._trace is not None:
            self._trace.finish(status)
