"""HTTP/1.1 requests, parsed as they arrive.

Every form that two programs may divide into requests differently is rejected (request smuggling): what does not end
its lines with CRLF, folds them, or declares the length of a body twice. The cost is linear in the size, and what
waits for its end is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from fnkit.contract.invocation.http_head import json_message
from fnkit.contract.invocation.response import MappedResponse
from fnkit.contract.limits import HEAD_MAX_BYTES

METHODS: Final = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND "
    b"REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE "
    b"MKCALENDAR LINK UNLINK SOURCE QUERY".split()
)
"""Those of llhttp, the parser of the platform's gateway."""

_REQUEST_LINE: Final = re.compile(rb"([A-Z-]+) +([^ ]+) +HTTP/([0-9]\.[0-9])")
_TARGET: Final = re.compile(rb"(?:/|\*|[A-Za-z]+://)[!-~]*")
_AUTHORITY: Final = re.compile(rb"[!-~]+")
_NOT_IN_REQUEST_LINE: Final = re.compile(rb"[^\r -~]")
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_VALUE: Final = re.compile(rb"[^\t -~\x80-\xff]")
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_CHUNK_HEAD: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?")
_CONNECTION_CLOSE: Final = re.compile(rb"(?:^|,)[ \t]*close[ \t]*(?:,|$)", re.IGNORECASE)

_NOT_HTTP: Final = json_message(400, "this is not an HTTP/1.1 request")
_BAD_TARGET: Final = json_message(400, "the URL contains an invalid character: percent-encode it")
_HEAD_TOO_LARGE: Final = json_message(431, f"the headers exceed {HEAD_MAX_BYTES} bytes")
_FRAMING_TOO_LARGE: Final = json_message(400, "the chunk framing of the body is too long")


class RequestRefused(Exception):
    """The request gets this response.

    Attributes:
        response: The response.
        closes: Whether nothing that follows on the connection can be read.
    """

    def __init__(self, response: MappedResponse, *, closes: bool = True) -> None:
        super().__init__(response.status)
        self.response = response
        self.closes = closes


class RequestHead:
    """The request line and the headers of a request.

    Attributes:
        method: The method.
        target: The request target as received.
        version: ``1.1``, or another one.
        headers: Lower-case names and values, in order.
        content_length: The value of Content-Length, 0 without one.
        transfer_encoding: The values of Transfer-Encoding, in lower case, joined with commas.
    """

    def __init__(self, method: str, target: bytes, version: str) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers: list[tuple[bytes, bytes]] = []
        self.content_length = 0
        self.transfer_encoding = b""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all headers with this lower-case name."""
        return [value for key, value in self.headers if key == name]

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return self.content_length > 0 or bool(self.transfer_encoding)

    @property
    def keep_alive(self) -> bool:
        """Whether the client may send another request on the connection."""
        return not any(_CONNECTION_CLOSE.search(value) for value in self.values(b"connection"))

    def finish(self) -> None:
        """Derive the framing of the body. Raises ``RequestRefused`` if it is ambiguous."""
        lengths = self.values(b"content-length")
        self.transfer_encoding = b",".join(self.values(b"transfer-encoding")).lower()
        if not lengths:
            return
        if len(lengths) > 1 or self.transfer_encoding or not _LENGTH.fullmatch(lengths[0]):
            raise RequestRefused(_NOT_HTTP)
        self.content_length = int(lengths[0])


class RequestReceiver(Protocol):
    """Receives what a parser finds. May raise ``RequestRefused``."""

    def on_begin(self) -> None:
        """The first byte of a request has arrived."""

    def on_head(self, head: RequestHead) -> None:
        """A head is complete."""

    def on_body(self, data: bytes) -> None:
        """A piece of the body has arrived."""

    def on_complete(self) -> None:
        """The request is complete."""


class RequestParser:
    """Parses the requests of one connection, and calls the receiver with what it finds."""

    def __init__(self, receiver: RequestReceiver) -> None:
        self._receiver = receiver
        self._buffer = bytearray()
        self._position = 0
        self._searched = 0  # up to here there is no line break
        self._read: Callable[[], bool] = self._read_request_line
        self._is_begun = False
        self._head: RequestHead | None = None
        self._framing_bytes = 0  # of the head; then of the framing since the last byte of the body
        self._missing = 0  # bytes of the body, or of its chunk

    def feed(self, data: bytes) -> None:
        """Parse received bytes.

        Raises:
            RequestRefused: The bytes are no request; nothing more can be parsed.
        """
        self._buffer += data
        while self._read():
            pass
        del self._buffer[: self._position]
        self._searched -= self._position
        self._position = 0

    def _next_line(self, too_large: MappedResponse) -> bytes | None:
        """Return the next line without its end, ``None`` if it is not complete."""
        end = self._buffer.find(b"\n", max(self._searched, self._position))
        if end < 0:
            self._searched = len(self._buffer)
            if self._framing_bytes + self._searched - self._position > HEAD_MAX_BYTES:
                raise RequestRefused(too_large)
            return None
        line = bytes(self._buffer[self._position : end])
        self._framing_bytes += len(line) + 1
        self._position = end + 1
        if self._framing_bytes > HEAD_MAX_BYTES:
            raise RequestRefused(too_large)
        if line[-1:] != b"\r":
            raise RequestRefused(_NOT_HTTP)
        return line[:-1]

    def _read_request_line(self) -> bool:
        start = self._position
        if start == len(self._buffer):
            return False
        if not self._is_begun:
            self._is_begun = True
            self._framing_bytes = 0
            self._receiver.on_begin()
        searched = max(self._searched, start)
        line = self._next_line(_HEAD_TOO_LARGE)
        if line is None:
            self._check_start(start, searched)
            return False
        if not line:
            return True  # empty lines before a request are allowed (RFC 9112 section 2.2)
        found = _REQUEST_LINE.fullmatch(line)
        if found is None or found[1] not in METHODS:
            raise RequestRefused(_NOT_HTTP)
        if not (_AUTHORITY if found[1] == b"CONNECT" else _TARGET).fullmatch(found[2]):
            raise RequestRefused(_BAD_TARGET)
        self._head = RequestHead(found[1].decode(), found[2], found[3].decode())
        self._read = self._read_header
        return True

    def _check_start(self, start: int, searched: int) -> None:
        """Reject a beginning that no request has, without waiting for the end of its line."""
        if self._buffer[start : start + 1] == b"\r":
            return
        method, space, _ = bytes(self._buffer[start : start + 32]).partition(b" ")
        if method not in METHODS if space else not any(known.startswith(method) for known in METHODS):
            raise RequestRefused(_NOT_HTTP)
        if _NOT_IN_REQUEST_LINE.search(self._buffer, searched):
            raise RequestRefused(_BAD_TARGET)

    def _read_header(self) -> bool:
        line = self._next_line(_HEAD_TOO_LARGE)
        head = self._head
        if line is None or head is None:
            return False
        if line:
            head.headers.append(_parse_header(line))
            return True
        head.finish()
        self._framing_bytes = 0
        self._receiver.on_head(head)
        self._missing = head.content_length
        if head.transfer_encoding:
            self._read = self._read_chunk_head
        elif self._missing:
            self._read = self._read_content
        else:
            self._complete()
        return True

    def _read_content(self) -> bool:
        if self._pass_on_body():
            return False
        self._complete()
        return True

    def _pass_on_body(self) -> bool:
        """Pass on what has arrived of the body or its chunk, and return whether something is missing."""
        data = bytes(self._buffer[self._position : self._position + self._missing])
        if data:
            self._position += len(data)
            self._missing -= len(data)
            self._framing_bytes = 0
            self._receiver.on_body(data)
        return self._missing > 0

    def _read_chunk_head(self) -> bool:
        line = self._next_line(_FRAMING_TOO_LARGE)
        if line is None:
            return False
        found = _CHUNK_HEAD.fullmatch(line)
        if found is None:
            raise RequestRefused(_NOT_HTTP)
        self._missing = int(found[1], 16)
        self._read = self._read_chunk if self._missing else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        if self._pass_on_body():
            return False
        end = bytes(self._buffer[self._position : self._position + 2])
        if not b"\r\n".startswith(end):
            raise RequestRefused(_NOT_HTTP)
        if len(end) < len(b"\r\n"):
            return False
        self._position += len(end)
        self._framing_bytes += len(end)
        self._read = self._read_chunk_head
        return True

    def _read_trailer(self) -> bool:
        """Read a trailer field and ignore it: it must not change what was checked in the head."""
        line = self._next_line(_FRAMING_TOO_LARGE)
        if line is None:
            return False
        if line:
            _parse_header(line)
        else:
            self._complete()
        return True

    def _complete(self) -> None:
        self._head = None
        self._is_begun = False
        self._read = self._read_request_line
        self._receiver.on_complete()


def _parse_header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name) or _NOT_IN_VALUE.search(value):
        raise RequestRefused(_NOT_HTTP)
    return name.lower(), value.strip(b" \t")
