"""Encoding of HTTP responses, and the responses that the gateway generates itself."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec

from fnkit.contract.invocation import CORS_DEFAULTS, MappedResponse, Refusal, map_response
from fnkit.platform.engine.answers import AnswerHeaders
from fnkit.platform.engine.contract import Failure, FailureKind

__all__ = [
    "Head",
    "encode_response",
    "failure_response",
    "finish_head",
    "message_response",
    "pass_through_head",
    "refusal_response",
    "without_length",
]

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_HEADS_MAX: Final = 1024
_BODILESS: Final = (204, 304)
_STATUS: Final = {
    FailureKind.UNKNOWN: 404,
    FailureKind.QUEUE_FULL: 503,
    FailureKind.TIMEOUT: 504,
    FailureKind.DIED: 502,
    FailureKind.NOT_STARTED: 502,
    FailureKind.STOPPING: 503,
}

Head = tuple[int, tuple[tuple[bytes, bytes], ...]]
_heads: Final[dict[Head, tuple[int, bytes]]] = {}
_framed: Final[dict[AnswerHeaders, tuple[int | None, AnswerHeaders]]] = {}
_date: tuple[int, bytes] = (0, b"")


def _now() -> bytes:
    global _date  # noqa: PLW0603  (one date line per second for the whole process)
    second = int(time.time())
    if _date[0] != second:
        _date = (second, f"date: {formatdate(second, usegmt=True)}\r\nserver: envoy\r\n".encode())
    return _date[1]


def _head(response: MappedResponse) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    return "".join(lines).encode("utf-8", "replace")


def without_length(headers: AnswerHeaders) -> tuple[int | None, AnswerHeaders]:
    """Return the Content-Length, if any, and the other headers. Cached, since few sets of headers occur."""
    known = _framed.get(headers)
    if known is None:
        lengths = [value for name, value in headers if name.lower() == b"content-length" and value.isdigit()]
        others = tuple(header for header in headers if header[0].lower() != b"content-length")
        known = (int(lengths[-1]), others) if lengths else (None, headers)
        if len(_framed) < _HEADS_MAX:
            _framed[headers] = known
    return known


def pass_through_head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[int, bytes]:
    """Return the mapped status and the head of a response whose body is passed through. Cached."""
    known = _heads.get((status, headers))
    if known is None:
        texts = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in headers]
        response = map_response(status, texts, b"")
        known = response.status, _head(response)
        if len(_heads) < _HEADS_MAX:
            _heads[status, headers] = known
    return known


def finish_head(head: bytes, status: int, length: int | None, *, keep_alive: bool) -> bytes:
    """Complete a head with framing, date and connection headers. Without a length the body is chunked."""
    framing = b"" if status in _BODILESS else b"transfer-encoding: chunked\r\n"
    if length is not None and status not in _BODILESS:
        framing = b"content-length: %d\r\n" % length
    return head + framing + _now() + (b"\r\n" if keep_alive else b"connection: close\r\n\r\n")


def encode_response(response: MappedResponse, *, keep_alive: bool, is_head: bool = False) -> bytes:
    """Encode a complete response. ``is_head``: omit the body, as the response to HEAD."""
    head = finish_head(_head(response), response.status, len(response.body), keep_alive=keep_alive)
    return head if is_head else head + response.body


def message_response(status: int, message: str) -> MappedResponse:
    """Return a response of the gateway itself: a JSON message without CORS headers."""
    body = msgspec.json.encode({"message": message})
    return MappedResponse(status, [("Content-Type", "application/json")], body)


def refusal_response(refusal: Refusal) -> MappedResponse:
    """Return a response that Scaleway's core runtime generates without running the handler."""
    headers = list(CORS_DEFAULTS)
    if refusal.text:
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
    return MappedResponse(refusal.status, headers, refusal.text.encode())


def failure_response(failure: Failure) -> MappedResponse:
    """Return the error response for a request that the engine could not complete."""
    return message_response(_STATUS[failure.kind], failure.message)
