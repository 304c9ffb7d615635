"""Responses that the core runtime sends without calling a handler.

The checks run in this order: ``/favicon.ico`` and ``/robots.txt``, the content length, the trigger type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.contract.limits import PAYLOAD_MAX_BYTES

__all__ = ["CORS_DEFAULTS", "ImmediateResponse", "immediate_response"]

CORS_DEFAULTS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)
"""Headers of every response, including errors. A header that the handler sets replaces the default of that name."""

_TRUE_VALUES: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # Go's strconv.ParseBool


@dataclass(frozen=True, slots=True)
class ImmediateResponse:
    """A response that needs no handler. ``text`` is plain text or empty."""

    status: int
    text: str


_NOT_FOUND: Final = ImmediateResponse(404, "")
_TOO_LARGE: Final = ImmediateResponse(
    413, f"request payload too large, max payload size = {PAYLOAD_MAX_BYTES} bytes\n"
)
_UNSUPPORTED_TRIGGER: Final = ImmediateResponse(400, "trigger Type is not supported by Scaleway Functions Runtime")


def immediate_response(
    path: str, content_length: int, trigger_type: str, allow_favicon: str
) -> ImmediateResponse | None:
    """Return the core runtime's response, or ``None`` if the handler must be called.

    Args:
        path: Path of the request.
        content_length: Value of ``Content-Length``, or 0 without one, so that chunked bodies pass.
        trigger_type: Value of the ``SCW_TRIGGER_TYPE`` header, or ``""``.
        allow_favicon: Value of ``SCW_ALLOW_FAVICON`` in the function's environment, or ``""``.
    """
    if path == "/robots.txt" or (path == "/favicon.ico" and allow_favicon not in _TRUE_VALUES):
        return _NOT_FOUND
    if content_length > PAYLOAD_MAX_BYTES:
        return _TOO_LARGE
    if trigger_type and trigger_type != "http":
        return _UNSUPPORTED_TRIGGER
    return None
