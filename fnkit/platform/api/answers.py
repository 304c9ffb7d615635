"""Builds responses with the headers of the real API, and maps exceptions to error responses."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from errno import EDQUOT, ENOSPC
from typing import Final

from starlette.responses import Response

from fnkit.platform.api.codec import encode
from fnkit.platform.control.refusals import ControlError

__all__ = ["JSON", "error_response", "json_response", "response_headers"]

JSON: Final = "application/json"
"""Content type without a charset: with one, Scaleway's JavaScript SDK treats the body as text."""

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "fnkit",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_logger = logging.getLogger(__name__)


def response_headers() -> dict[str, str]:
    """Return the headers that the real API sends with every response, except that ``Server`` is ``fnkit``."""
    return {**_HEADERS, "X-Request-Id": str(uuid.uuid4())}


def json_response(value: object, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(encode(value), status, response_headers(), JSON)


def error_response(error: Exception) -> Response:
    """Map an exception to its error response, and log exceptions that the client did not cause."""
    match error:
        case ControlError():
            return json_response(error.body, error.status)
        # A full disk surfaces as OSError from files and as OperationalError from SQLite, which has no error class
        # of its own for it (SQLITE_FULL: "database or disk is full").
        case OSError(errno=code) if code in (ENOSPC, EDQUOT):
            return json_response({"message": "the platform's disk is full; nothing was changed"}, 507)
        case sqlite3.OperationalError() if "full" in str(error):
            return json_response({"message": "the platform's disk is full; nothing was changed"}, 507)
        case sqlite3.OperationalError():
            _logger.error("Store unavailable: %s", error)
            return json_response({"message": "the platform's store cannot be used; nothing was changed"}, 503)
        case _:
            _logger.error("Unhandled exception in an API request", exc_info=error)
            return json_response({"message": "internal error"}, 500)
