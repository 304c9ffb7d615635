"""From HTTP to a handler's event, and from its answer back to HTTP: the data plane's rules, once and pure.

The gateway, the local ``invoke`` and the testing plugin all call this package; bridges stay dumb, so five
languages agree. The rules are those of the core runtime, as collected in ``docs/data-plane.md``: what comes
first is checked first (``refusal``), then an event and a context are built, a bridge answers with a status,
a content type and bytes, and ``map_response`` makes the client's response of them.
"""

from fnkit.contract.invocation.checks import CORS_DEFAULTS, Refusal, refusal
from fnkit.contract.invocation.event import build_context, build_event, decode_path, decode_text, is_base64
from fnkit.contract.invocation.headers import canonical_header
from fnkit.contract.invocation.response import (
    HANDLER_MISSING,
    MappedResponse,
    map_failure,
    map_response,
    needs_whole_body,
)

__all__ = [
    "CORS_DEFAULTS",
    "HANDLER_MISSING",
    "MappedResponse",
    "Refusal",
    "build_context",
    "build_event",
    "canonical_header",
    "decode_path",
    "decode_text",
    "is_base64",
    "map_failure",
    "map_response",
    "needs_whole_body",
    "refusal",
]
