"""Events as the HTTP requests of applications, and their responses as those of handlers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from fnkit.adapters.request import body_bytes

ROOT_PATH_VARIABLE: Final = "FNKIT_ROOT_PATH"
"""The path under which a proxy in front of the function serves it: ASGI's ``root_path``, WSGI's ``SCRIPT_NAME``."""
_DROPPED: Final = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_PORTS: Final = {"http": 80, "https": 443}
_BINARY: Final = "application/octet-stream"


class HttpMessage(NamedTuple):
    """A request.

    Attributes:
        method: Its method.
        scheme: ``http`` or ``https``.
        root_path: The path of the application, without a slash at its end.
        path: The path within the application, decoded.
        query: The query string, made of the decoded parameters: the platform keeps no other.
        headers: Names in lower case, and values.
        host: The name of the server.
        port: The port of the server.
        client: The address of the client.
        body: Its body.
    """

    method: str
    scheme: str
    root_path: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    host: str
    port: int
    client: str
    body: bytes

    @property
    def raw_path(self) -> str:
        """The path in percent encoding."""
        return quote(self.path, safe="/:@!$&'()*+,;=~-._")


def read_event(event: Mapping[str, Any]) -> HttpMessage:
    """Return the request of an event. The platform passes no ``Host``, so that it is ``localhost``."""
    given = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    body = body_bytes(event)
    scheme = given.get("x-forwarded-proto", "http")
    host = given.setdefault("host", "localhost")
    if body or "content-length" in given:
        given["content-length"] = str(len(body))
    name, _, port = host.rpartition(":")
    has_port = bool(name) and port.isdigit()
    return HttpMessage(
        method=str(event.get("httpMethod") or "GET"),
        scheme=scheme if scheme in _PORTS else "http",
        root_path=os.environ.get(ROOT_PATH_VARIABLE, "").rstrip("/"),
        path=str(event.get("path") or "/"),
        query=urlencode(event.get("queryStringParameters") or {}),
        headers=tuple(given.items()),
        host=name if has_port else host,
        port=int(port) if has_port else _PORTS.get(scheme, 80),
        client=given.get("x-forwarded-for", "").partition(",")[0].strip() or "127.0.0.1",
        body=body,
    )


def write_response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> dict[str, object]:
    """Return the response of a handler: repeated headers stay apart, and bytes that are no text are base64."""
    collected: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in _DROPPED:
            # The platform's own Content-Type is replaced by one of this spelling only.
            collected.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
    if body and "Content-Type" not in collected:
        collected["Content-Type"] = [_BINARY]
    response: dict[str, object] = {"statusCode": status, "headers": collected}
    try:
        response["body"] = body.decode()
    except UnicodeDecodeError:
        import base64

        response["body"] = base64.b64encode(body).decode()
        response["isBase64Encoded"] = True
    return response
