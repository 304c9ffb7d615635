"""Responses with the recorded headers, and the one table from failures to answers."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from errno import EDQUOT, ENOSPC
from typing import Final

from starlette.responses import Response

from fnkit.platform.api.codec import encode
from fnkit.platform.control.refusals import Refusal

__all__ = ["JSON", "failure", "json_answer", "recorded_headers"]

JSON: Final = "application/json"
"""Exactly this: with a charset, Scaleway's JavaScript SDK takes every answer as text."""

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "fnkit",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_logger = logging.getLogger(__name__)


def recorded_headers() -> dict[str, str]:
    """Return what the real API sends with every answer; ``Server`` names us, since we are not it."""
    return {**_HEADERS, "X-Request-Id": str(uuid.uuid4())}


def json_answer(value: object, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(encode(value), status, recorded_headers(), JSON)


def failure(error: Exception) -> Response:
    """Return the answer to a request that failed. What no client caused is logged and told in one sentence."""
    match error:
        case Refusal():
            return json_answer(error.body, error.status)
        case OSError(errno=code) if code in (ENOSPC, EDQUOT):
            return json_answer({"message": "the platform's disk is full; nothing was changed"}, 507)
        case sqlite3.OperationalError() if "full" in str(error):
            return json_answer({"message": "the platform's disk is full; nothing was changed"}, 507)
        case sqlite3.OperationalError():
            _logger.error("The store cannot be used: %s", error)
            return json_answer({"message": "the platform's store cannot be used; nothing was changed"}, 503)
        case _:
            _logger.error("A request failed", exc_info=error)
            return json_answer({"message": "internal error"}, 500)
