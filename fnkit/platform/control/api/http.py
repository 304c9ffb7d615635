"""HTTP primitives of the API: request objects, the JSON codec, response headers and error responses.

Request bodies are decoded as JSON whatever their ``Content-Type``. Errors name the line and column, or the field.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fnkit.platform.control.errors import ControlError, disk_full
from fnkit.platform.control.resources.access import AccessScope, Principal

T = TypeVar("T")

JSON: Final = "application/json"
"""Content type without a charset: with one, Scaleway's JavaScript SDK treats the body as text."""
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Enough for 100 secrets of 64 KiB each, with every character escaped."""

_BYTE_OFFSET: Final = re.compile(r" \(byte (\d+)\)$")
_FIELD_PATH: Final = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Server": "fnkit",
    "Strict-Transport-Security": "max-age=63072000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HIDDEN_REGION: Final = "nowhere"
_HOST_HEADER: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:\d{1,5})?")

_logger = logging.getLogger(__name__)


encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
"""Return compact JSON."""


def decode(body: bytes, body_type: type[T]) -> T:
    """Decode a JSON body; an empty body counts as ``{}``.

    Raises:
        ControlError: 400 with line and column for malformed JSON, with the field for a value of the wrong type.
    """
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=body_type)
    except msgspec.ValidationError as error:
        # msgspec validates while it parses, so a type error may come before a syntax error further on. The real
        # API parses first: a second pass without types raises the syntax error, if there is one.
        decode(body, object)
        raise ControlError(400, _type_error_message(str(error))) from None
    except msgspec.DecodeError as error:
        raise ControlError(400, _syntax_error_message(body, str(error))) from None
    except UnicodeDecodeError as error:
        raise ControlError(400, f"proto: syntax error: the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ControlError(400, "proto: syntax error: the body is nested too deeply") from None


def _type_error_message(text: str) -> str:
    match = _FIELD_PATH.search(text)
    if match is None:
        return f"invalid value for the body: {text}"
    return f"invalid value for {match.group(1) or 'the body'}: {text[: match.start()]}"


def _syntax_error_message(body: bytes, text: str) -> str:
    """Return the message in protojson's form: ``proto: syntax error (line 1:183): unexpected token …``."""
    match = _BYTE_OFFSET.search(text)
    start = len(body) - len(body.lstrip())
    # msgspec reports no offset for truncated input: the error is at the end of the body.
    before = body.rstrip() if match is None else body[: start + int(match.group(1))]
    line = before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    what = (text if match is None else text[: match.start()]).removeprefix("JSON is malformed: ")
    return f"proto: syntax error (line {line}:{column}): {what}"


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
        case ClientDisconnect():
            _logger.info("Client disconnected before its request was complete")
            return json_response({"message": "the request ended early"}, 400)
        # A full disk surfaces as OSError from files and as OperationalError from SQLite, which has no error class
        # of its own for it (SQLITE_FULL: "database or disk is full").
        case OSError(errno=code) if code in (ENOSPC, EDQUOT):
            return error_response(disk_full())
        case sqlite3.OperationalError() if "full" in str(error):
            return error_response(disk_full())
        case sqlite3.OperationalError():
            _logger.error("Store unavailable: %s", error)
            return json_response({"message": "the platform's store cannot be used; nothing was changed"}, 503)
        case _:
            _logger.error("Unhandled exception in an API request", exc_info=error)
            return json_response({"message": "internal error"}, 500)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to an operation, limited to the resources that the caller's API key can access.

    Attributes:
        http_request: The HTTP request.
        kind: The resource kind as the path spells it, such as ``namespaces`` or ``tokens``.
        scope: The resources that the caller's API key can access.
    """

    http_request: Request
    kind: str
    scope: AccessScope

    @property
    def region(self) -> str:
        """The region of the path, or one that matches nothing if the caller cannot access the resource.

        With an impossible region every lookup fails with the error for a missing resource, so a caller cannot tell
        a resource of another project from one that does not exist.
        """
        is_visible = not self.id or self.scope.can_see(self.kind, self.id)
        return str(self.http_request.path_params["region"]) if is_visible else _HIDDEN_REGION

    @property
    def id(self) -> str:
        """The resource id of the path in lower case, or an empty string."""
        return str(self.http_request.path_params.get("id", "")).lower()

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters; the last of repeated parameters wins."""
        return self.scope.narrow_query(self.kind, self.http_request.query_params)

    @property
    def base_url(self) -> str:
        """The base URL of this API, from the ``Host`` header, or from the socket if the header is invalid.

        The value ends up in URLs returned to the client, so it must not contain anything but a host and a port.
        """
        host = self.http_request.headers.get("host", "")
        if not _HOST_HEADER.fullmatch(host):
            name, port = self.http_request.scope["server"]
            host = f"{name}:{port}"
        return f"{self.http_request.scope['scheme']}://{host}"

    async def body(self, body_type: type[T]) -> T:
        """Decode the body as JSON, whatever its Content-Type.

        Raises:
            ControlError: The body is too large, malformed or of the wrong type, or names an inaccessible resource.
        """
        return self.scope.narrow_body(await read_body(self.http_request, body_type))


async def read_body(request: Request, body_type: type[T], *, max_bytes: int = MAX_BODY_BYTES) -> T:
    """Decode a body as JSON, whatever its Content-Type.

    Raises:
        ControlError: 413 for a body larger than ``max_bytes``, 400 for one that cannot be decoded.
    """
    # The limit applies to what arrives, not to Content-Length, which a chunked request does not have.
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > max_bytes:
            raise ControlError(413, f"the body is larger than {max_bytes} bytes")
    return decode(bytes(received), body_type)


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client disconnects. The request must have no body, or one that was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def request_principal(request: Request) -> Principal:
    """Return the principal that the authentication of the route stored in the request."""
    caller = request.state.caller
    if not isinstance(caller, Principal):
        raise TypeError("the request was not authenticated")
    return caller
