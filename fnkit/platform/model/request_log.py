"""The request log of the API: a line of JSON per request, written by control and read by the command line."""

from __future__ import annotations

from typing import Final

import msgspec

API_LOG: Final = "api"
"""The name of the log, beside those of the platform's processes."""


class LoggedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An API request and its response, without anything from bodies, queries and secret keys.

    Attributes:
        at: When the response was complete, RFC 3339 in UTC, real time.
        operation: The ``operationId`` of the API document, which Scaleway's Audit Trail shows too, or the name of
            one of the platform's own endpoints.
        resource: The kind of resource, such as ``function``, or ``None``.
        id: The resource's id, or ``None`` for operations on none, such as lists.
        access_key: The access key of the caller, or ``None`` without a valid key.
        status: The HTTP status.
        duration_ms: Milliseconds from the request to the response.
    """

    at: str
    operation: str
    resource: str | None
    id: str | None
    access_key: str | None
    status: int
    duration_ms: float

    def __str__(self) -> str:
        """Return one line of text, with ``-`` for what is ``None``."""
        words = (self.at, self.access_key, self.operation, self.resource, self.id, self.status)
        return f"{' '.join('-' if word is None else str(word) for word in words)} {self.duration_ms:.1f} ms"

    def to_json(self) -> dict[str, object]:
        """Return the fields."""
        return msgspec.structs.asdict(self)


def parse_logged_request(line: str) -> LoggedRequest | None:
    """Return the request of a line, or ``None`` if it is incomplete, as the first of a tail may be."""
    try:
        return msgspec.json.decode(line, type=LoggedRequest)
    except msgspec.MsgspecError:
        return None
