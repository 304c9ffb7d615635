"""Encoding of HTTP responses, and the mapping of those of workers."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Final

from fnkit.contract.invocation.content_type import detect_content_type
from fnkit.contract.invocation.http_head import encode_head, json_message
from fnkit.contract.invocation.response import Headers, MappedResponse, map_handler_error, map_response
from fnkit.platform.data_plane.interface import FailureKind, RequestFailure, ResponseHeaders

_MAX_CACHED_HEADS: Final = 1024
_BODILESS_STATUSES: Final = (204, 304)
_TYPE_HEADERS: Final = (b"content-type", b"content-encoding")
_HANDLER_ERROR_STATUS: Final = 500
_STATUS_BY_FAILURE: Final = {
    FailureKind.UNKNOWN: 404,
    FailureKind.QUEUE_FULL: 503,
    FailureKind.TIMEOUT: 504,
    FailureKind.DIED: 502,
    FailureKind.NOT_STARTED: 502,
    FailureKind.STOPPING: 503,
}

ResponseHead = tuple[int, tuple[tuple[bytes, bytes], ...]]
_head_cache: Final[dict[ResponseHead, tuple[int, bytes]]] = {}
_date_cache: tuple[int, bytes] = (0, b"")


def _date_headers() -> bytes:
    """Return the date and server headers. Cached for a second: 0.2 instead of 3.8 µs, a tenth of a warm request."""
    global _date_cache  # noqa: PLW0603  (one date line per second for the whole process)
    second = int(time.time())
    if _date_cache[0] != second:
        _date_cache = (second, f"date: {formatdate(second, usegmt=True)}\r\nserver: envoy\r\n".encode())
    return _date_cache[1]


def is_handler_error(status: int) -> bool:
    """Return whether a worker's status says that its handler failed."""
    return status == _HANDLER_ERROR_STATUS


def map_worker_response(status: int, headers: ResponseHeaders, body: bytes) -> MappedResponse:
    """Return the client's response for a worker's, which is a handler's error or has a body that is converted."""
    if is_handler_error(status):
        return map_handler_error(headers, body)
    return map_response(status, _decode_headers(headers), body)


def _decode_headers(headers: ResponseHeaders) -> Headers:
    return [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers]


def with_content_type(headers: ResponseHeaders, start: bytes) -> ResponseHeaders:
    """Return the headers of a body that is passed through, with the type that Go's server detects if it has none.

    Workers of handlers in Go and Rust send none by themselves.
    """
    if any(name.lower() in _TYPE_HEADERS for name, _ in headers):
        return headers
    return (*headers, (b"content-type", detect_content_type(start).encode()))


def without_length(headers: ResponseHeaders) -> tuple[int | None, ResponseHeaders]:
    """Return the Content-Length, if any, and the other headers."""
    length = None
    others = []
    for header in headers:
        if header[0].lower() != b"content-length":
            others.append(header)
        elif header[1].isdigit():
            length = int(header[1])
    return length, tuple(others)


def pass_through_head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[int, bytes]:
    """Return the mapped status and the head of a response whose body is passed through.

    Cached, since functions send few different heads: 0.2 instead of 3.7 µs, a tenth of a warm request's CPU.
    """
    known = _head_cache.get((status, headers))
    if known is None:
        response = map_response(status, _decode_headers(headers), b"")
        known = response.status, encode_head(response.status, response.headers)
        if len(_head_cache) < _MAX_CACHED_HEADS:
            _head_cache[status, headers] = known
    return known


def complete_head(head: bytes, status: int, length: int | None, *, keep_alive: bool) -> bytes:
    """Complete a head with framing, date and connection headers. Without a length the body is chunked."""
    framing = b"" if status in _BODILESS_STATUSES else b"transfer-encoding: chunked\r\n"
    if length is not None and status not in _BODILESS_STATUSES:
        framing = b"content-length: %d\r\n" % length
    return head + framing + _date_headers() + (b"\r\n" if keep_alive else b"connection: close\r\n\r\n")


def encode_response(response: MappedResponse, *, keep_alive: bool, is_head: bool = False) -> bytes:
    """Encode a complete response. ``is_head``: omit the body, as the response to HEAD."""
    head = encode_head(response.status, response.headers)
    head = complete_head(head, response.status, len(response.body), keep_alive=keep_alive)
    return head if is_head else head + response.body


def failure_response(failure: RequestFailure) -> MappedResponse:
    """Return the error response for a request that the engine could not complete."""
    return json_message(_STATUS_BY_FAILURE[failure.kind], failure.message)
