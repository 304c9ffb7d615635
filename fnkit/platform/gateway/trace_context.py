"""W3C Trace Context, as its Recommendation (2021, "level 1") asks of whoever stands between two services (pure).

A request's ``traceparent`` counts when there is exactly one and it can be read: version 00 to the letter, a later
version by its first four fields, ``ff`` never. What does not count is as if it were not there, and ``tracestate``
with it. A ``tracestate`` that breaks its grammar or has more than 32 members is left out, and the trace goes on.
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
    """Where in a trace a request stands.

    received: its ``traceparent``, to the letter. trace_id, parent_id: 32 and 16 lower-case hexadecimal digits.
    state: ``tracestate`` in one line.
    """

    received: bytes
    trace_id: str
    parent_id: str
    sampled: bool
    state: bytes

    def headers(self) -> list[Header]:
        """Return the headers that pass it on as it came."""
        return _headers(self.received, self.state)

    def continued(self, span_id: str) -> list[Header]:
        """Return the headers for whoever comes after this span, in version 00."""
        text = f"00-{self.trace_id}-{span_id}-{'01' if self.sampled else '00'}"
        return _headers(text.encode(), self.state)


def _headers(parent: bytes, state: bytes) -> list[Header]:
    return [(_PARENT, parent), (_STATE, state)] if state else [(_PARENT, parent)]


def read_trace_context(headers: Iterable[Header]) -> TraceContext | None:
    """Read what a request says; ``None`` where nothing of it counts. Names are lower-case."""
    relevant = [header for header in headers if header[0] in TRACE_HEADERS]
    parents = [value.strip(_BLANKS) for name, value in relevant if name == _PARENT]
    if len(parents) != 1 or (found := _TRACEPARENT.fullmatch(parents[0])) is None:
        return None
    version, trace_id, parent_id, flags, rest = found.groups()
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
    """Return the list as one value: of several headers in their order, empty members left out."""
    members = [member.strip(_BLANKS) for value in values for member in value.split(b",")]
    named = [member for member in members if member]
    if len(named) > _MEMBERS_MAX or not all(map(_MEMBER.fullmatch, named)):
        return b""
    return b",".join(named)


def without_trace_context(headers: Iterable[Header]) -> list[Header]:
    """Return the other headers."""
    return [header for header in headers if header[0] not in TRACE_HEADERS]
