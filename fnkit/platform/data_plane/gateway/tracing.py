"""Traces of requests: W3C trace context, and the spans of a request, its wait for an instance and a cold start.

Spans are recorded only if an export is configured. Without one, ``propagate`` passes the trace context of a request
to the function unchanged, and no new trace is started.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import msgspec

from fnkit.platform.data_plane.gateway.request import ClientRequest
from fnkit.platform.data_plane.interface import PendingRequest
from fnkit.platform.model.routing import Route

_TRACEPARENT_HEADER: Final = b"traceparent"
_TRACESTATE_HEADER: Final = b"tracestate"
TRACE_HEADERS: Final = frozenset({_TRACEPARENT_HEADER, _TRACESTATE_HEADER})
_OPTIONAL_WHITESPACE: Final = b" \t"
_TRACEPARENT_VALUE: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_TRACESTATE_MEMBER: Final = re.compile(
    rb"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MAX_TRACESTATE_MEMBERS: Final = 32
_SAMPLED_FLAG: Final = 0x01
HeaderPair = tuple[bytes, bytes]

_NANOSECONDS_PER_SECOND: Final = 10**9


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a request in a trace.

    Attributes:
        traceparent: The ``traceparent`` header as received; empty for a new trace.
        trace_id: 32 lower-case hexadecimal digits.
        parent_id: Span id of the caller, 16 lower-case hexadecimal digits; empty for a new trace.
        is_sampled: Whether the caller records the trace.
        tracestate: The ``tracestate`` headers, joined.
    """

    traceparent: bytes
    trace_id: str
    parent_id: str
    is_sampled: bool
    tracestate: bytes

    def headers(self) -> list[HeaderPair]:
        """Return the headers unchanged."""
        return _trace_headers(self.traceparent, self.tracestate)

    def child_headers(self, span_id: str) -> list[HeaderPair]:
        """Return the headers for a child of the span ``span_id``, in version 00."""
        text = f"00-{self.trace_id}-{span_id}-{'01' if self.is_sampled else '00'}"
        return _trace_headers(text.encode(), self.tracestate)


def _trace_headers(traceparent: bytes, tracestate: bytes) -> list[HeaderPair]:
    return (
        [(_TRACEPARENT_HEADER, traceparent), (_TRACESTATE_HEADER, tracestate)]
        if tracestate
        else [(_TRACEPARENT_HEADER, traceparent)]
    )


def parse_trace_context(headers: Iterable[HeaderPair]) -> TraceContext | None:
    """Parse the trace context of a request; ``None`` without a valid one. Header names must be lower-case."""
    relevant = [header for header in headers if header[0] in TRACE_HEADERS]
    parents = [value.strip(_OPTIONAL_WHITESPACE) for name, value in relevant if name == _TRACEPARENT_HEADER]
    if len(parents) != 1 or (match := _TRACEPARENT_VALUE.fullmatch(parents[0])) is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return TraceContext(
        traceparent=parents[0],
        trace_id=trace_id.decode(),
        parent_id=parent_id.decode(),
        is_sampled=bool(int(flags, 16) & _SAMPLED_FLAG),
        tracestate=_parse_tracestate([value for name, value in relevant if name == _TRACESTATE_HEADER]),
    )


def _parse_tracestate(values: Iterable[bytes]) -> bytes:
    """Join the ``tracestate`` headers in order, without empty members; return nothing if one is invalid."""
    members = [member.strip(_OPTIONAL_WHITESPACE) for value in values for member in value.split(b",")]
    named = [member for member in members if member]
    if len(named) > _MAX_TRACESTATE_MEMBERS or not all(map(_TRACESTATE_MEMBER.fullmatch, named)):
        return b""
    return b",".join(named)


def strip_trace_context(headers: Iterable[HeaderPair]) -> list[HeaderPair]:
    """Return the headers without ``traceparent`` and ``tracestate``."""
    return [header for header in headers if header[0] not in TRACE_HEADERS]


class Interval(msgspec.Struct, frozen=True):
    """A time interval in Unix nanoseconds."""

    start: int
    end: int


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
    remote_parent_id: str
    tracestate: str
    method: str
    target: bytes
    scheme: str
    host: str
    client_host: str
    user_agent: str
    request_id: str
    instance: str
    status: int
    request: Interval
    queue: Interval | None
    cold_start: Interval | None


def propagate(request: ClientRequest) -> None:
    """Pass the caller's trace context to the function unchanged, or remove its headers if they are invalid."""
    context = parse_trace_context(request.headers)
    request.headers = strip_trace_context(request.headers)
    if context is not None:
        request.headers += context.headers()


class Tracer:
    """Starts traces.

    Args:
        export: Called with the span of each finished request. It must not block.
    """

    def __init__(self, export: Callable[[RequestSpan], None]) -> None:
        self._export = export

    def start_trace(self, request: ClientRequest, route: Route) -> Trace | None:
        """Continue the caller's trace or start one, and set the trace headers of the request.

        The ``sampled`` flag of the caller decides whether the request is recorded; a new trace always is.

        Returns:
            The trace, or ``None`` if the request is not recorded.
        """
        received = parse_trace_context(request.headers) if request.has_trace_headers else None
        if request.has_trace_headers:
            request.headers = strip_trace_context(request.headers)
        if received is not None and not received.is_sampled:
            request.headers += received.headers()
            return None
        span_id = _random_id(64)
        context = received or TraceContext(
            traceparent=b"", trace_id=_random_id(128), parent_id="", is_sampled=True, tracestate=b""
        )
        trace = Trace(self._export, request, route, context, span_id)
        request.headers += context.child_headers(span_id)
        return trace


def _random_id(bits: int) -> str:
    """Return a random id in lower-case hexadecimal; all zeros would be invalid."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


@dataclass(slots=True, eq=False)
class Trace:
    """A request in progress that is recorded.

    Attributes:
        started_at_unix_ns: The start of the request in Unix time.
        started_at: The same on the monotonic clock, which durations use; the pair converts its readings.
    """

    export: Callable[[RequestSpan], None]
    request: ClientRequest
    route: Route
    context: TraceContext
    span_id: str
    started_at_unix_ns: int = field(default_factory=time.time_ns)
    started_at: float = field(default_factory=monotonic)
    assigned_at: float = 0.0
    instance: str = ""
    was_queued: bool = False
    cold_start: tuple[float, float] | None = None

    def assigned(self, pending_request: PendingRequest) -> None:
        """Record the assigned instance."""
        self.assigned_at = monotonic()
        self.instance = pending_request.instance_name
        self.was_queued = pending_request.was_queued
        # An instance may have been starting before this request; its span must not begin before its parent's.
        if (start := pending_request.cold_start) is not None:
            self.cold_start = (max(start.started_at, self.started_at), max(start.ended_at, self.started_at))

    def finish(self, status: int) -> None:
        """Export the span: the response was written, or the client disconnected."""
        request = self.request
        ended_at = monotonic()
        waited = self.was_queued or not self.assigned_at
        self.export(
            RequestSpan(
                route=self.route,
                trace_id=self.context.trace_id,
                span_id=self.span_id,
                remote_parent_id=self.context.parent_id,
                tracestate=self.context.tracestate.decode("latin-1"),
                method=request.method,
                target=request.target,
                scheme=request.scheme,
                host=request.host.decode("latin-1"),
                client_host=request.client_host,
                user_agent=next((v.decode("latin-1") for k, v in request.headers if k == b"user-agent"), ""),
                request_id=request.id,
                instance=self.instance,
                status=status,
                request=self._interval(self.started_at, ended_at),
                queue=self._interval(self.started_at, self.assigned_at or ended_at) if waited else None,
                cold_start=self._interval(*self.cold_start) if self.cold_start is not None else None,
            )
        )

    def _interval(self, start: float, end: float) -> Interval:
        return Interval(self._to_unix_ns(start), self._to_unix_ns(end))

    def _to_unix_ns(self, monotonic_time: float) -> int:
        return self.started_at_unix_ns + round((monotonic_time - self.started_at) * _NANOSECONDS_PER_SECOND)
