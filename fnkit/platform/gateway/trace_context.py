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

__all__ = ["TRACE_HEADERS", "TraceContext", "read_trace_context", "without_trace_context"]

_PARENT: Final = b"traceparent"
_STATE: Final = b"tracestate"
TRACE_HEADERS: Final = frozenset({_PARENT, _STATE})

_BLANKS: Final = b" \t"
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER: Final = re.compile(
    rb"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MEMBERS_MAX: Final = 32
_SAMPLED: Final = 0x01

Header = tuple[bytes, bytes]


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a request in a trace.

    Attributes:
        traceparent: The ``traceparent`` header as received; empty for a new trace.
        trace_id: 32 lower-case hexadecimal digits.
        parent_id: Span id of the caller, 16 lower-case hexadecimal digits; empty for a new trace.
        is_sampled: Whether the caller records the trace.
        tracestate: The ``tracestate`` headers, joined.
    """

    received: bytes
    trace_id: str
    parent_id: str
    sampled: bool
    state: bytes

    def headers(self) -> list[Header]:
        """Return the headers unchanged."""
        return _headers(self.received, self.state)

    def continued(self, span_id: str) -> list[Header]:
        """Return the headers for a child of the span ``span_id``, in version 00."""
        text = f"00-{self.trace_id}-{span_id}-{'01' if self.sampled else '00'}"
        return _headers(text.encode(), self.state)


def _headers(parent: bytes, state: bytes) -> list[Header]:
    return [(_PARENT, parent), (_STATE, state)] if state else [(_PARENT, parent)]


def read_trace_context(headers: Iterable[Header]) -> TraceContext | None:
    """Parse the trace context of a request; ``None`` without a valid one. Header names must be lower-case."""
    relevant = [header for header in headers if header[0] in TRACE_HEADERS]
    parents = [value.strip(_BLANKS) for name, value in relevant if name == _PARENT]
    if len(parents) != 1 or (match := _TRACEPARENT.fullmatch(parents[0])) is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return TraceContext(
        received=parents[0],
        trace_id=trace_id.decode(),
        parent_id=parent_id.decode(),
        sampled=bool(int(flags, 16) & _SAMPLED),
        state=_read_state([value for name, value in relevant if name == _STATE]),
    )


def _read_state(values: Iterable[bytes]) -> bytes:
    """Join the ``tracestate`` headers in order, without empty members; return nothing if one is invalid."""
    members = [member.strip(_BLANKS) for value in values for member in value.split(b",")]
    named = [member for member in members if member]
    if len(named) > _MEMBERS_MAX or not all(map(_MEMBER.fullmatch, named)):
        return b""
    return b",".join(named)


def without_trace_context(headers: Iterable[Header]) -> list[Header]:
    """Return the headers without ``traceparent`` and ``tracestate``."""
    return [header for header in headers if header[0] not in TRACE_HEADERS]
