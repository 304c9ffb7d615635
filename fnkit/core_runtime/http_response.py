"""Writes responses as HTTP/1.1."""

from __future__ import annotations

import time
from typing import Final

from fnkit.contract.invocation.http_head import encode_head
from fnkit.contract.invocation.response import MappedResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

BODILESS_STATUSES: Final = (204, 304)
_DATE_FORMAT: Final = "%a, %d %b %Y %H:%M:%S GMT"


def complete_head(head: bytes, status: int, length: int, *, keep_alive: bool, nonce: bytes | None = None) -> bytes:
    """Complete a head with framing, connection, and either date and server or a nonce.

    Args:
        head: The status line and the other headers.
        status: The status.
        length: The length of the body.
        keep_alive: Whether another request may follow.
        nonce: Of a request of a platform's gateway, empty without one. The gateway caches heads by the bytes before
            the nonce, so it is the last header, and there is no date, which would make every head a new one.
            ``None`` for other clients.
    """
    framing = b"" if status in BODILESS_STATUSES else b"content-length: %d\r\n" % length
    connection = b"" if keep_alive else b"connection: close\r\n"
    if nonce is not None:
        return b"%b%b%b%b\r\n" % (head, framing, connection, b"fnkit-request: %b\r\n" % nonce if nonce else b"")
    date = time.strftime(_DATE_FORMAT, time.gmtime()).encode()
    return b"%b%bdate: %b\r\nserver: envoy\r\n%b\r\n" % (head, framing, date, connection)


def encode_response(
    response: MappedResponse, *, keep_alive: bool, is_head: bool, nonce: bytes | None = None
) -> bytes:
    """Encode a complete response. ``is_head``: omit the body, as the response to HEAD."""
    head = encode_head(response.status, response.headers)
    head = complete_head(head, response.status, len(response.body), keep_alive=keep_alive, nonce=nonce)
    return head if is_head else head + response.body
