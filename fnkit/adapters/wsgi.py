"""Calls a WSGI application (PEP 3333): Flask, Django, Bottle, Falcon."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

from fnkit.adapters.http_message import HttpMessage, read_event, write_response


def adapt_wsgi(application: Callable[..., Iterable[bytes]]) -> Callable[[dict[str, Any], object], object]:
    """Return ``handler(event, context)`` for a WSGI application.

    A response that is a stream is collected, as the platform needs it whole.
    """

    def call(event: dict[str, Any], context: object) -> object:
        exchange = _Exchange()
        chunks = application(_environ(read_event(event), event, context), exchange.start_response)
        try:
            for chunk in chunks:
                exchange.body.write(chunk)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        return exchange.response()

    return call


class _Exchange:
    """The response of one call."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.body = io.BytesIO()

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Record status and headers. With ``exc_info``, an application replaces those that it had begun."""
        if self.status and exc_info is None:
            raise AssertionError("the application started its response twice")
        if exc_info is not None:
            self.body = io.BytesIO()
        self.status, self.headers = status, list(headers)
        return self.body.write

    def response(self) -> dict[str, object]:
        """Return the response of the handler."""
        if not self.status:
            raise RuntimeError("the WSGI application returned without a response")
        return write_response(int(self.status.split(" ", 1)[0]), self.headers, self.body.getvalue())


def _environ(message: HttpMessage, event: dict[str, Any], context: object) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": message.method,
        "SCRIPT_NAME": _latin(message.root_path),
        "PATH_INFO": _latin(message.path),
        "QUERY_STRING": message.query,
        "SERVER_NAME": message.host,
        "SERVER_PORT": str(message.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": message.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": message.scheme,
        "wsgi.input": io.BytesIO(message.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "fnkit.event": event,
        "fnkit.context": context,
    }
    for name, value in message.headers:
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            environ[key] = value
        elif "_" not in name:  # an underscore could imitate the header with a dash
            environ[f"HTTP_{key}"] = _latin(value)
    return environ


def _latin(text: str) -> str:
    """Return text as WSGI wants it: its bytes in UTF-8, read as Latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
