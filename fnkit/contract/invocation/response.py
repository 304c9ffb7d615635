"""The responses of the core runtime: those it sends without a handler, and the conversion of a handler's.

A worker returns a status, headers and bytes. If the bytes are a JSON object, its members ``statusCode``,
``headers``, ``body`` and ``isBase64Encoded`` apply, each on its own and regardless of capitalization. If they are a
JSON string, its text is the body; if they are ``null``, the body is empty. All other bytes are sent unchanged.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fnkit.contract.invocation.base64_error import base64_error_position
from fnkit.contract.invocation.content_type import detect_content_type
from fnkit.contract.invocation.event import (
    HOP_BY_HOP,
    canonical_header,
    is_base64,
    is_header_name,
    sanitize_header_value,
)
from fnkit.contract.invocation.json_values import decode_members, decode_string, decode_texts
from fnkit.contract.limits import HEAD_MAX_BYTES, PAYLOAD_MAX_BYTES, RESPONSE_HEADERS_MAX

CORS_DEFAULTS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)
"""Headers of every response, including errors. A header that the handler sets replaces the default of that name."""
PANIC_HEADER: Final = b"fnkit-handler-panicked"
"""A header of a worker's response: the handler, in Go or Rust, panicked."""
HANDLER_MISSING: Final = (
    "Function Handler does not exist, check that you provided the right HANDLER parameter "
    "(path to your module with exported function to use)"
)
"""Message of the Python and Node runtimes for a missing handler. Python appends ``, check your function logs``."""

_HTTP_ERROR_HEADERS: Final = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
)
_HEAD_TOO_LARGE: Final = json.dumps(
    {"message": f"the response has more than {RESPONSE_HEADERS_MAX} headers, or {HEAD_MAX_BYTES} bytes of them"},
    separators=(",", ":"),
).encode()
_TRUE_VALUES: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # Go's strconv.ParseBool
_FAILURE_PREFIX: Final = "An error occured during handler execution: "  # misspelled in the core runtime
_STATUS_MIN: Final = 200
_STATUS_MAX: Final = 999
_BODILESS_STATUSES: Final = (204, 304)
_JSON_WHITE_SPACE: Final = b" \t\r\n"

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class MappedResponse:
    """The client's response. ``headers`` lacks ``Content-Length``, which is added when the body is written."""

    status: int
    headers: Headers
    body: bytes


def _http_error(status: int, text: str, headers: Iterable[tuple[str, str]] = CORS_DEFAULTS) -> MappedResponse:
    """Return the response of Go's ``http.Error``, which keeps the headers that are already set."""
    replaced = dict(_HTTP_ERROR_HEADERS)
    lines = [line for line in headers if line[0] not in replaced]
    return MappedResponse(status, [*lines, *_HTTP_ERROR_HEADERS], f"{text}\n".encode("utf-8", "replace"))


_NOT_FOUND: Final = MappedResponse(404, [*CORS_DEFAULTS], b"")
_TOO_LARGE: Final = _http_error(413, f"request payload too large, max payload size = {PAYLOAD_MAX_BYTES} bytes")
_UNSUPPORTED_TRIGGER: Final = _http_error(400, "trigger Type is not supported by Scaleway Functions Runtime")


def immediate_response(
    path: str, content_length: int, trigger_type: str, allow_favicon: str
) -> MappedResponse | None:
    """Return the core runtime's response, or ``None`` if the handler must be called.

    The checks run in this order: ``/favicon.ico`` and ``/robots.txt``, the content length, the trigger type.

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


@dataclass
class _ResponseDocument:
    """The response members of a JSON object.

    Attributes:
        status: The status, or ``None`` if it is absent or invalid.
        body: Raw JSON, or ``None`` if it is absent.
        headers: The handler's headers.
        keeps_worker_headers: Whether the worker's headers are sent too: unless ``headers`` is ``null``.
        is_base64: Whether the body is base64.
    """

    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str | list[str]] = field(default_factory=dict)
    keeps_worker_headers: bool = True
    is_base64: bool = False


_INT64: Final = 1 << 63
_INT64_DIGITS_MAX: Final = 20  # of a 64-bit integer with its sign; bounds the time that int() takes
_HEADERS_CACHE_MAX: Final = 256
_headers_cache: Final[dict[tuple[tuple[str, str], ...], Headers]] = {}
"""Cache of complete response headers by worker headers. Workers send few distinct sets of headers."""


def needs_complete_body(first_byte: int) -> bool:
    """Return whether ``map_response`` may change a body whose first byte, after white space, is this one.

    Only JSON objects, strings and ``null`` are converted, and must be complete for that. Other bodies can be
    streamed to the client.
    """
    return first_byte in b'{"n'


def _parse_headers(raw: bytes, document: _ResponseDocument) -> None:
    """Add the headers of the ``headers`` member; what is no string becomes an empty one, as in Go.

    ``null`` resets the core runtime's map of headers, in which those of the worker already are.
    """
    if raw == b"null":
        document.headers, document.keeps_worker_headers = {}, False
    elif (headers := decode_texts(raw)) is not None:
        document.headers.update(headers)


def _parse_document(members: Mapping[str, bytes]) -> _ResponseDocument:
    document = _ResponseDocument()
    for name, value in members.items():
        key = name.lower()
        if key == "statuscode":
            raw = bytes(value)
            # Go ignores the member unless it is a 64-bit integer: not for "201", 201.0 or null.
            if raw.lstrip(b"-").isdigit() and len(raw) <= _INT64_DIGITS_MAX and -_INT64 <= int(raw) < _INT64:
                document.status = int(raw)
        elif key == "body":
            document.body = bytes(value)
        elif key == "headers":
            _parse_headers(bytes(value), document)
        elif key == "isbase64encoded" and (raw := bytes(value)) in (b"true", b"false"):
            document.is_base64 = raw == b"true"
    return document


def _response_headers(
    worker_headers: Iterable[tuple[str, str]], handler_headers: dict[str, str | list[str]]
) -> Headers:
    """Return the default headers, the worker's headers and the handler's.

    As in the core runtime, the worker's headers are a map by canonical name and the handler's are merged into it
    by exact name: ``Content-Type`` replaces the worker's, while ``content-type`` is a different key and is sent as
    a second header.
    """
    worker_headers = tuple(worker_headers)
    if not handler_headers and worker_headers in _headers_cache:
        return _headers_cache[worker_headers].copy()
    lines = _merge_headers(worker_headers, handler_headers)
    if not handler_headers and len(_headers_cache) < _HEADERS_CACHE_MAX:
        _headers_cache[worker_headers] = lines.copy()
    return lines


def _merge_headers(
    worker_headers: tuple[tuple[str, str], ...], handler_headers: dict[str, str | list[str]]
) -> Headers:
    merged: dict[str, str | list[str]] = {}
    for name, text in worker_headers:
        key = canonical_header(name)
        given = merged.get(key)
        # A handler in Go or Rust sends its headers itself, and may repeat them.
        merged[key] = text if given is None else [*([given] if isinstance(given, str) else given), text]
    merged.update(handler_headers)
    lines: Headers = []
    for name, value in merged.items():
        key = canonical_header(name)
        if key in HOP_BY_HOP or key == "Server" or not is_header_name(key):
            continue
        if isinstance(value, str):
            lines.append((key, sanitize_header_value(value)))
        else:
            lines.extend((key, sanitize_header_value(item)) for item in value)
    present = {key for key, _ in lines}
    return [line for line in CORS_DEFAULTS if line[0] not in present] + lines


def _decode_base64(raw: bytes) -> bytes:
    """Decode a JSON string that contains standard base64.

    Raises:
        ValueError: With the error text of Go, if the value is not such a string.
    """
    text = decode_string(raw)
    if text is None:
        raise ValueError(f"json: cannot unmarshal {_json_type(raw)} into Go value of type string")
    encoded = text.encode()
    if not is_base64(encoded):
        raise ValueError(f"illegal base64 data at input byte {base64_error_position(encoded)}")
    return binascii.a2b_base64(encoded)


def _json_type(raw: bytes) -> str:
    """Return Go's name for the type of a JSON value that is neither a string nor ``null``."""
    return {b"{": "object", b"[": "array", b"t": "bool", b"f": "bool"}.get(raw.lstrip()[:1], "number")


def _has_too_large_head(headers: dict[str, str | list[str]]) -> bool:
    """Return whether a handler's headers are more than Envoy accepts, which then answers with a 502."""
    count = size = 0
    for name, value in headers.items():
        values = [value] if isinstance(value, str) else value
        count += len(values)
        size += sum(len(name) + len(item) for item in values)
        if count > RESPONSE_HEADERS_MAX or size > HEAD_MAX_BYTES:
            return True
    return False


def map_response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> MappedResponse:
    """Return the client's response for a worker's status, headers and body."""
    first = body.lstrip(_JSON_WHITE_SPACE)[:1]
    if first == b"{":
        members = decode_members(body)
        if members is not None:
            return _map_document(status, headers, body, _parse_document(members))
    elif first in (b'"', b"n"):
        text = b"" if body.strip(_JSON_WHITE_SPACE) == b"null" else _encode_string(body)
        return _build_response(status, _response_headers(headers, {}), text)
    return _build_response(status, _response_headers(headers, {}), body)


def _encode_string(body: bytes) -> bytes:
    text = decode_string(body)
    return body if text is None else text.encode("utf-8", "replace")


def _map_document(
    status: int, headers: Iterable[tuple[str, str]], complete_body: bytes, document: _ResponseDocument
) -> MappedResponse:
    if _has_too_large_head(document.headers):
        return MappedResponse(502, [("Content-Type", "application/json")], _HEAD_TOO_LARGE)
    raw = complete_body if document.body is None else document.body
    merged = _response_headers(headers if document.keeps_worker_headers else (), document.headers)
    if document.is_base64 and raw not in (b"null", b'""'):
        try:
            content = _decode_base64(raw)
        except ValueError as error:
            return _http_error(500, str(error), merged)
    elif raw == b"null":
        content = b""
    elif raw[:1] == b'"':
        content = _encode_string(raw)
    else:
        content = raw
    if document.status is not None:
        status = document.status
    return _build_response(status, merged, content)


def _build_response(status: int, headers: Headers, body: bytes) -> MappedResponse:
    if not _STATUS_MIN <= status <= _STATUS_MAX:
        # Go's server panics for statuses below 100 and above 999, and a 1xx status does not end a response.
        return _http_error(500, f"invalid WriteHeader code {status}")
    if status in _BODILESS_STATUSES:
        body = b""
    return MappedResponse(status, add_content_type(headers, body), body)


def add_content_type(headers: Headers, body: bytes) -> Headers:
    """Return the headers with the type that Go's server detects in the beginning of a body without one."""
    if body and _is_sniffed(headers):
        return [*headers, ("Content-Type", detect_content_type(body))]
    return headers


def _is_sniffed(headers: Headers) -> bool:
    """Return whether Go's server detects the type of a body with these headers."""
    return not any(name == "Content-Type" or (name == "Content-Encoding" and value) for name, value in headers)


def map_failure(text: str) -> MappedResponse:
    """Return the response for a handler that raised, could not be imported or does not exist."""
    return _http_error(500, _FAILURE_PREFIX + text)


def map_handler_error(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> MappedResponse:
    """Return the response for a worker's error: of a handler that failed, or that panicked, in Go or Rust."""
    text = body.decode("utf-8", "replace")
    if any(name == PANIC_HEADER for name, _ in headers):
        return _http_error(500, text)  # the core runtime's own: its connection to the worker was closed
    return map_failure(text)
