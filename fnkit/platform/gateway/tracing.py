"""Traces of requests: W3C trace context, and the spans of a request, its wait for an instance and a cold start.

Spans are recorded only if an export is configured. Without one, ``propagate`` passes the trace context of a request
to the function unchanged, and no new trace is started.
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
    """A time interval in Unix nanoseconds."""

    began: int
    ended: int


class RequestSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A finished request.

    Attributes:
        remote_parent_id: Span id of the caller; empty if this is the root of its trace.
        tracestate: The ``tracestate`` header.
        status: HTTP status; 499 if the client disconnected.
        request: From the complete request to the complete response.
        queue: The wait for an instance; ``None`` if one was idle.
        cold_start: The start of the instance, if the request waited for it.
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
    """Pass the caller's trace context to the function unchanged, or remove its headers if they are invalid."""
    context = read_trace_context(request.headers)
    request.headers = without_trace_context(request.headers)
    if context is not None:
        request.headers += context.headers()


class Tracer:
    """Starts traces.

    Args:
        export: Called with the span of each finished request. It must not block.
    """

    def __init__(self, export: Callable[[RequestSpan], None]) -> None:
        self._export = export

    def begin(
        self, request: ClientRequest, route: Route, request_id: str, *, peer: str, scheme: str
    ) -> Trace | None:
        """Continue the caller's trace or start one, and set the trace headers of the request.

        The ``sampled`` flag of the caller decides whether the request is recorded; a new trace always is.

        Returns:
            The trace, or ``None`` if the request is not recorded.
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
    """Return a random id in lower-case hexadecimal; all zeros would be invalid."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


class Trace:
    """A request in progress that is recorded."""

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
        # Durations use the monotonic clock; this pair converts its readings to Unix time.
        self._began = time.time_ns()
        self._began_at = monotonic()
        self._granted_at = 0.0
        self._instance = ""
        self._waited = False
        self._start: tuple[float, float] | None = None

    def granted(self, call: Call) -> None:
        """Record the assigned instance."""
        self._granted_at = monotonic()
        self._instance = call.instance
        self._waited = call.has_waited
        # An instance may have been starting before this request; its span must not begin before its parent's.
        if (start := call.cold_start) is not None:
            self._start = (max(start.began, self._began_at), max(start.ended, self._began_at))

    def finished(self, status: int) -> None:
        """Export the span: the response was written, or the client disconnected."""
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
