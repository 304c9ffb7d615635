"""Invocations: a request from the moment it is complete until its response is written."""

from __future__ import annotations

from time import monotonic
from typing import Final

from fnkit.platform.engine.contract import Call, Engine
from fnkit.platform.engine.meters import FunctionMeter
from fnkit.platform.gateway.tracing import Trace

__all__ = ["Asking"]

_GONE: Final = 499  # nginx's status for a client that closed its connection before the response


class Asking:
    """Base class of invocations: requests an instance and counts the result. Subclasses handle the response.

    Args:
        engine: Assigns the instance.
        counters: Counters of the function.
        payload: Event and context as JSON.
        trace: The trace to record, if any.
    """

    __slots__ = ("_began", "_call", "_engine", "_gone", "_meter", "_payload", "_trace")

    def __init__(self, engine: Engine, meter: FunctionMeter, payload: bytes, trace: Trace | None) -> None:
        self._engine = engine
        self._meter = meter
        self._payload = payload
        self._trace = trace
        self._began = monotonic()
        self._call: Call | None = None
        self._gone = False

    def abandon(self) -> None:
        """Cancel: the client is gone. The request counts with status 499.

        The engine lets the handler finish and frees the instance afterwards.
        """
        self._gone = True
        self._count(_GONE)
        if self._call is not None:
            self._engine.release(self._call)
            self._call = None

    def granted(self, call: Call) -> None:
        """Send the request to the assigned instance."""
        self._call = call
        if self._trace is not None:
            self._trace.granted(call)
        # Dropped here, since the invocation may live for minutes and a payload may have tens of megabytes.
        payload, self._payload = self._payload, b""
        call.send(payload)

    def _count(self, status: int) -> None:
        self._meter.answered(status, monotonic() - self._began)
        if self._trace is not None:
            self._trace.finished(status)
