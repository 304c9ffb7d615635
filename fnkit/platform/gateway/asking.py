"""One request on its way to an instance, whoever sent it: asked for, granted, given up, counted."""

from __future__ import annotations

from time import monotonic
from typing import Final

from fnkit.platform.engine.contract import Call, Engine
from fnkit.platform.engine.meters import FunctionMeter
from fnkit.platform.gateway.tracing import Trace

__all__ = ["Asking"]

_GONE: Final = 499  # nginx's number for a client that did not wait for its answer


class Asking:
    """The first half of a ``Listener``: what hears the answer adds the rest."""

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
        """Nobody waits for the answer any more."""
        self._gone = True
        self._count(_GONE)
        if self._call is not None:
            self._engine.release(self._call)
            self._call = None

    def granted(self, call: Call) -> None:
        """See ``Listener``."""
        self._call = call
        if self._trace is not None:
            self._trace.granted(call)
        payload, self._payload = self._payload, b""
        call.send(payload)

    def _count(self, status: int) -> None:
        self._meter.answered(status, monotonic() - self._began)
        if self._trace is not None:
            self._trace.finished(status)
