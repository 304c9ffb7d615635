"""W3C Trace Context (https://www.w3.org/TR/trace-context-1/): parsing and propagation. Pure functions.

A ``traceparent`` is used if there is exactly one and it is valid: version 00 exactly, a later version by its first
four fields, ``ff`` never. Otherwise both headers are ignored. An invalid ``tracestate``, or one with more than 32
members, is dropped without its ``traceparent``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

__all__ = ["TRACE_HEADERS", "TraceContext", "parse_trace_context", "strip_trace_context"]

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
