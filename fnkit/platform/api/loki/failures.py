"""Error responses of Loki's API, which are plain text."""

from __future__ import annotations

import logging
import sqlite3

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from fnkit.platform.control.logs.queries import TooManyQueries
from fnkit.platform.control.logs.reading import QueryTimedOut
from fnkit.platform.logql.refusal import QueryError

__all__ = ["loki_error_response", "text_response", "unauthorized_response"]

_logger = logging.getLogger(__name__)


def text_response(text: str, status: int) -> Response:
    """Return a plain-text response."""
    return PlainTextResponse(text, status, headers={"X-Content-Type-Options": "nosniff"})


def unauthorized_response() -> Response:
    """Return the response to a request without a valid API key.

    Loki itself has no authentication; a reverse proxy in front of it asks for basic authentication, as this does.
    """
    response = text_response(
        "no valid key: give the secret key, or an API key, as X-Auth-Token, bearer token or password", 401
    )
    response.headers["WWW-Authenticate"] = 'Basic realm="Loki"'
    return response


def loki_error_response(error: Exception) -> Response:
    """Map an exception to its error response, and log exceptions that the client did not cause."""
    match error:
        case QueryError():
            return text_response(error.message, _error_status(error))
        case RecursionError():
            return text_response("parse error : the query is nested too deeply", 400)
        case ClientDisconnect():
            return text_response("the request ended early", 400)
        case sqlite3.OperationalError():
            _logger.error("Store unavailable: %s", error)
            return text_response("the platform's store cannot be used", 503)
        case _:
            _logger.error("Unhandled exception in a request to the log API", exc_info=error)
            return text_response("internal error", 500)


def _error_status(error: QueryError) -> int:
    match error:
        case QueryTimedOut():
            return 504
        case TooManyQueries():
            return 429
        case _:
            return 400
