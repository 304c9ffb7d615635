"""Conversion of an HTTP request to a handler's event, and of the handler's result to an HTTP response.

The rules are those of Scaleway's core runtime (``docs/requests.md``). For each request, ``immediate_response``
decides whether a handler is needed, ``build_event`` and ``build_context`` create its arguments, a worker returns a
status, headers and bytes, and ``map_response`` converts them to the client's response. The gateway and local
invocation share this package, and workers of every language leave the conversion to it, so that all of them agree.
"""

from fnkit.contract.invocation.event import (
    build_context,
    build_event,
    canonical_header,
    decode_path,
    decode_text,
    is_base64,
)
from fnkit.contract.invocation.response import (
    CORS_DEFAULTS,
    HANDLER_MISSING,
    ImmediateResponse,
    MappedResponse,
    immediate_response,
    map_failure,
    map_response,
    needs_complete_body,
)

__all__ = [
    "CORS_DEFAULTS",
    "HANDLER_MISSING",
    "ImmediateResponse",
    "MappedResponse",
    "build_context",
    "build_event",
    "canonical_header",
    "decode_path",
    "decode_text",
    "immediate_response",
    "is_base64",
    "map_failure",
    "map_response",
    "needs_complete_body",
]
