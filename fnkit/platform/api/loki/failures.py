"""Error responses of Loki's API, which are plain text."""

from __future__ import annotations

import logging
import sqlite3

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from fnkit.platform.control.logs.queries import TooManyQueries
from fnkit.platform.control.logs.reading import QueryTooSlow
from fnkit.platform.logql.refusal import QueryRefused

__all__ = ["failure", "plain", "unauthorized"]

_logger = logging.getLogger(__name__)


def plain(text: str, status: int) -> Response:
    """Return a plain-text response."""
    return PlainTextResponse(text, status, headers={"X-Content-Type-Options": "nosniff"})


def unauthorized() -> Response:
    """Return the response to a request without a valid API key.

    Loki itself has no authentication; a reverse proxy in front of it asks for basic authentication, as this does.
    """
    response = plain(
        "no valid key: give the secret key, or an API key, as X-Auth-Token, bearer token or password", 401
    )
    response.headers["WWW-Authenticate"] = 'Basic realm="Loki"'
    return response


def failure(error: Exception) -> Response:
    """Map an exception to its error response, and log exceptions that the client did not cause."""
    match error:
        case QueryRefused():
            return plain(error.message, _status(error))
        case RecursionError():
            return plain("parse error : the query is nested too deeply", 400)
        case ClientDisconnect():
            return plain("the request ended early", 400)
        case sqlite3.OperationalError():
            _logger.error("Store unavailable: %s", error)
            return plain("the platform's store cannot be used", 503)
        case _:
            _logger.error("Unhandled exception in a request to the log API", exc_info=error)
            return plain("internal error", 500)


def _status(error: QueryRefused) -> int:
    match error:
        case QueryTooSlow():
            return 504
        case TooManyQueries():
            return 429
        case _:
            return 400
