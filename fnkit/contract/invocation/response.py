"""The client's response, made of what a bridge answered (the core runtime's ``GetResponse``).

A bridge answers with a status, headers and bytes. Where the bytes are a JSON object, ``statusCode``,
``headers``, ``body`` and ``isBase64Encoded`` in it are taken, each by itself and whatever its capitals; where
they are a JSON string or ``null``, its text or nothing; anything else is passed on as it is.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fnkit.contract.invocation.checks import CORS_DEFAULTS
from fnkit.contract.invocation.event import decode_text, is_base64
from fnkit.contract.invocation.headers import HOP_BY_HOP, canonical_header, is_header_name, safe_value

__all__ = ["HANDLER_MISSING", "MappedResponse", "map_failure", "map_response", "needs_whole_body"]

HANDLER_MISSING: Final = (
    "Function Handler does not exist, check that you provided the right HANDLER parameter "
    "(path to your module with exported function to use)"
)
"""What Python and Node answer for a handler that is not there; Python adds ``, check your function logs``."""

_FAILED: Final = "An error occured during handler execution: "  # sic
_STATUS_MIN: Final = 200
_STATUS_MAX: Final = 999
_BODILESS: Final = (204, 304)
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_SPACE: Final = b" \t\r\n"

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class MappedResponse:
    """What the client gets. ``headers`` hold no ``Content-Length``: whoever writes the body counts it."""

    status: int
    headers: Headers
    body: bytes


@dataclass(slots=True)
class _Document:
    """What a JSON object says about the response; ``body`` is raw JSON, ``None`` without the key."""

    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str | list[str]] = field(default_factory=dict)
    is_base64: bool = False


_INT64: Final = 1 << 63
_DIGITS_MAX: Final = 20  # of such an integer; more would take Python long to read
_PLAIN_MAX: Final = 256
_plain: Final[dict[tuple[tuple[str, str], ...], Headers]] = {}
"""The headers of answers whose handler adds none: bridges send few different ones."""

_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts: Final = msgspec.json.Decoder(str)
_anything: Final = msgspec.json.Decoder(object)


def needs_whole_body(first: int) -> bool:
    """Say whether a body that starts with this byte (blanks skipped) may be JSON that the mapping changes.

    Only objects, strings and ``null`` are: all else streams through as it comes (decision 32).
    """
    return first in b'{"n'


def _json_text(raw: bytes) -> str | None:
    """Return a JSON string's text; half surrogate pairs and bad UTF-8 become U+FFFD, as in Go."""
    try:
        return _texts.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        text = json.loads(decode_text(raw))
    except ValueError:
        return None
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else None


def _read_headers(raw: bytes, headers: dict[str, str | list[str]]) -> None:
    try:
        values = _anything.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        if isinstance(value, str):
            headers[name] = value
        elif isinstance(value, list):
            texts = [item for item in value if isinstance(item, str)]
            if texts:
                headers[name] = texts


def _read_document(members: dict[str, msgspec.Raw]) -> _Document:
    document = _Document()
    for key, value in members.items():
        raw = bytes(value)
        match key.lower():
            case "statuscode":
                # Go leaves the field alone on anything but an integer of 64 bits: "201", 201.0 and null say nothing
                if raw.lstrip(b"-").isdigit() and len(raw) <= _DIGITS_MAX and -_INT64 <= int(raw) < _INT64:
                    document.status = int(raw)
            case "body":
                document.body = raw
            case "headers":
                _read_headers(raw, document.headers)
            case "isbase64encoded":
                if raw in (b"true", b"false"):
                    document.is_base64 = raw == b"true"
            case _:
                pass
    return document


def _members(body: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return _objects.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # valid for Go, not for a strict reader: bad UTF-8, half surrogate pairs
        loose = json.loads(decode_text(body), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(loose, dict):
        return None
    return {key: msgspec.Raw(json.dumps(value).encode()) for key, value in loose.items()}


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _response_headers(own: Iterable[tuple[str, str]], added: dict[str, str | list[str]]) -> Headers:
    """Return the defaults, the bridge's headers and the handler's.

    The bridge's are a map under canonical names: a handler's ``Content-Type`` replaces, ``content-type`` is
    another key and comes as a second line.
    """
    own = tuple(own)
    if not added and own in _plain:
        return _plain[own].copy()
    lines = _header_lines(own, added)
    if not added and len(_plain) < _PLAIN_MAX:
        _plain[own] = lines.copy()
    return lines


def _header_lines(own: tuple[tuple[str, str], ...], added: dict[str, str | list[str]]) -> Headers:
    merged: dict[str, str | list[str]] = {canonical_header(name): value for name, value in own}
    merged.update(added)
    lines: Headers = []
    for name, value in merged.items():
        key = canonical_header(name)
        if key in HOP_BY_HOP or key == "Server" or not is_header_name(key):
            continue
        if isinstance(value, str):
            lines.append((key, safe_value(value)))
        else:
            lines.extend((key, safe_value(item)) for item in value)
    given = {key for key, _ in lines}
    return [line for line in CORS_DEFAULTS if line[0] not in given] + lines


def _decode_base64(raw: bytes) -> bytes:
    """Return the bytes; ``ValueError`` with Go's words when they are not standard base64 in a JSON string."""
    text = _json_text(raw)
    if text is None:
        raise ValueError("json: cannot unmarshal body into Go value of type string")
    encoded = text.encode()
    if not is_base64(encoded):
        wrong = _NOT_BASE64.search(encoded)
        raise ValueError(f"illegal base64 data at input byte {wrong.start() if wrong else len(encoded)}")
    return binascii.a2b_base64(encoded)


def map_response(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> MappedResponse:
    """Return the client's response to a bridge's status, headers and bytes."""
    first = body.lstrip(_SPACE)[:1]
    if first == b"{":
        members = _members(body)
        if members is not None:
            return _map_document(status, headers, body, _read_document(members))
    elif first in (b'"', b"n"):
        text = b"" if body.strip(_SPACE) == b"null" else _string_bytes(body)
        return _finish(status, _response_headers(headers, {}), text)
    return _finish(status, _response_headers(headers, {}), body)


def _string_bytes(body: bytes) -> bytes:
    text = _json_text(body)
    return body if text is None else text.encode("utf-8", "replace")


def _map_document(
    status: int, headers: Iterable[tuple[str, str]], whole: bytes, document: _Document
) -> MappedResponse:
    raw = whole if document.body is None else document.body
    if document.is_base64 and raw not in (b"null", b'""'):
        try:
            content = _decode_base64(raw)
        except ValueError as error:
            return MappedResponse(500, [*CORS_DEFAULTS, _PLAIN], str(error).encode())
    elif raw == b"null":
        content = b""
    elif raw[:1] == b'"':
        content = _string_bytes(raw)
    else:
        content = raw
    if document.status is not None:
        status = document.status
    return _finish(status, _response_headers(headers, document.headers), content)


_PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")


def _finish(status: int, headers: Headers, body: bytes) -> MappedResponse:
    if not _STATUS_MIN <= status <= _STATUS_MAX:
        # Go's server panics below 100 and above 999, and never ends a response with 1xx
        return MappedResponse(500, [*CORS_DEFAULTS, _PLAIN], f"invalid WriteHeader code {status}".encode())
    return MappedResponse(status, headers, b"" if status in _BODILESS else body)


def map_failure(text: str) -> MappedResponse:
    """Return the response to a handler that raised, could not be imported or is not there."""
    return MappedResponse(500, [*CORS_DEFAULTS, _PLAIN], (_FAILED + text).encode("utf-8", "replace"))
