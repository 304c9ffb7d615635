"""The spans of a request, where traces are exported: itself, its wait for an instance, the start it waited for.

Without an export nothing of this exists: a request's own trace context is passed on, and none is made.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from time import monotonic
from typing import Final

import msgspec

from fnkit.platform.engine.contract import Call
from fnkit.platform.gateway.requests import ClientRequest
from fnkit.platform.gateway.trace_context import TraceContext, read_trace_context, without_trace_context
from fnkit.platform.routing import Route

__all__ = ["Interval", "RequestSpan", "Trace", "Tracer", "pass_on"]

_NANOSECONDS: Final = 10**9


class Interval(msgspec.Struct, frozen=True):
    """From, to: Unix nanoseconds."""

    began: int
    ended: int


class RequestSpan(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is over. waited: ``None`` where it found an idle instance; cold_start likewise.

    remote_parent: the caller's span, ``""`` for the first of its trace. status: 499 for a client that went away.
    """

    route: Route
    trace_id: str
    span_id: str
    remote_parent: str
    state: str
    method: str
    target: bytes
    scheme: str
    host: str
    peer: str
    user_agent: str
    request_id: str
    instance: str
    status: int
    whole: Interval
    waited: Interval | None
    cold_start: Interval | None


def pass_on(request: ClientRequest) -> None:
    """Without an export: hand the caller's trace context to the function as it is, or none where it is not one."""
    context = read_trace_context(request.headers)
    request.headers = without_trace_context(request.headers)
    if context is not None:
        request.headers += context.headers()


class Tracer:
    """Begins traces. ``export`` takes each request's span when it is over, and never waits."""

    def __init__(self, export: Callable[[RequestSpan], None]) -> None:
        self._export = export

    def begin(
        self, request: ClientRequest, route: Route, request_id: str, *, peer: str, scheme: str
    ) -> Trace | None:
        """Continue the caller's trace, or begin one, and tell the function. ``None`` where it is not recorded.

        A caller's ``sampled`` flag decides; a trace that begins here is recorded.
        """
        received = read_trace_context(request.headers) if request.is_traced else None
        if request.is_traced:
            request.headers = without_trace_context(request.headers)
        if received is not None and not received.sampled:
            request.headers += received.headers()
            return None
        span_id = _random_id(64)
        context = received or TraceContext(
            received=b"", trace_id=_random_id(128), parent_id="", sampled=True, state=b""
        )
        trace = Trace(self._export, request, route, request_id, context, span_id, peer=peer, scheme=scheme)
        request.headers += context.continued(span_id)
        return trace


def _random_id(bits: int) -> str:
    """Return lower-case hexadecimal digits that are not all zero."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


class Trace:
    """One request that is under way and recorded."""

    __slots__ = (
        "_began",
        "_began_at",
        "_context",
        "_export",
        "_granted_at",
        "_instance",
        "_peer",
        "_request",
        "_request_id",
        "_route",
        "_scheme",
        "_span_id",
        "_start",
        "_waited",
    )

    def __init__(
        self,
        export: Callable[[RequestSpan], None],
        request: ClientRequest,
        route: Route,
        request_id: str,
        context: TraceContext,
        span_id: str,
        *,
        peer: str,
        scheme: str,
    ) -> None:
        self._export = export
        self._request = request
        self._route = route
        self._request_id = request_id
        self._context = context
        self._span_id = span_id
        self._peer = peer
        self._scheme = scheme
        self._began = time.time_ns()
        self._began_at = monotonic()
        self._granted_at = 0.0
        self._instance = ""
        self._waited = False
        self._start: tuple[float, float] | None = None

    def granted(self, call: Call) -> None:
        """An instance takes the request."""
        self._granted_at = monotonic()
        self._instance = call.instance
        self._waited = call.has_waited
        if (start := call.cold_start) is not None:
            self._start = (max(start.began, self._began_at), max(start.ended, self._began_at))

    def finished(self, status: int) -> None:
        """The answer is written, or nobody waits for it any more."""
        request = self._request
        ended_at = monotonic()
        waited = self._waited or not self._granted_at
        self._export(
            RequestSpan(
                route=self._route,
                trace_id=self._context.trace_id,
                span_id=self._span_id,
                remote_parent=self._context.parent_id,
                state=self._context.state.decode("latin-1"),
                method=request.method,
                target=request.target,
                scheme=self._scheme,
                host=request.host.decode("latin-1"),
                peer=self._peer,
                user_agent=next((v.decode("latin-1") for k, v in request.headers if k == b"user-agent"), ""),
                request_id=self._request_id,
                instance=self._instance,
                status=status,
                whole=self._interval(self._began_at, ended_at),
                waited=self._interval(self._began_at, self._granted_at or ended_at) if waited else None,
                cold_start=self._interval(*self._start) if self._start is not None else None,
            )
        )

    def _interval(self, began: float, ended: float) -> Interval:
        return Interval(self._unix(began), self._unix(ended))

    def _unix(self, moment: float) -> int:
        return self._began + round((moment - self._began_at) * _NANOSECONDS)
