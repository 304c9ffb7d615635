"""The head of a response in HTTP/1.1, except for its framing, and the responses that no function gives."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from fnkit.contract.invocation.response import Headers, MappedResponse

REQUEST_BODY_MAX_BYTES: Final = 32 * 1024 * 1024
"""A body that declares no length may have this size."""
RESPONSE_BODY_MAX_BYTES: Final = 32 * 1024 * 1024
"""A larger body of a response is sent unchanged."""

_REASON_PHRASES: Final = {
    **{status.value: status.phrase for status in HTTPStatus},
    # Python 3.13 has other names for these.
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


def encode_head(status: int, headers: Headers) -> bytes:
    """Encode the status line and the headers; framing, date and connection headers must follow."""
    lines = [f"HTTP/1.1 {status} {_REASON_PHRASES.get(status, 'Unknown')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    return "".join(lines).encode("utf-8", "replace")


def json_message(status: int, message: str) -> MappedResponse:
    """Return a response of the gateway itself: a JSON message without CORS headers."""
    body = json.dumps({"message": message}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return MappedResponse(status, [("Content-Type", "application/json")], body)


def overload_response() -> MappedResponse:
    """Return the response to a request for which there is no memory."""
    response = json_message(503, "the bodies of other requests take up the memory for them")
    return MappedResponse(response.status, [*response.headers, ("Retry-After", "1")], response.body)
