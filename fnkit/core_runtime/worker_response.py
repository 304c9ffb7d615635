"""The responses of the worker. It shares the handler's process, so the handler may have written what arrives.

A response counts only if it repeats the nonce that was drawn for its request, and nothing may follow it.
"""

from __future__ import annotations

import os
import re
from typing import Final

from fnkit.contract.limits import HEAD_MAX_BYTES, RESPONSE_HEADERS_MAX

_NONCE_HEADER: Final = b"fnkit-request"
_NONCE_BYTES: Final = 8  # a handler cannot guess 64 bits from earlier nonces
_REQUEST_HEAD: Final = b"POST / HTTP/1.1\r\ncontent-type: application/json\r\n%b: %b\r\ncontent-length: %d\r\n\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([2-9][0-9][0-9])(?: [^\r\n]*)?")
_HEADER: Final = re.compile(rb"([!-9;-~]+): ?([^\r\n]*)")
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")


class InvalidResponse(Exception):
    """What the worker sent is no response to the request. The message states the reason."""


class WorkerResponseReader:
    """Reads one response.

    Attributes:
        status: The status, 0 until the head is complete.
        headers: Names and values, without the nonce and the length of the body.
        length: The length of the body.
        is_last: The worker announces that its process is about to end.
        is_complete: Whether the response is complete.
        has_trailing_data: Whether something followed it.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self.length = 0
        self.is_last = False
        self.is_complete = False
        self.has_trailing_data = False
        self._nonce = os.urandom(_NONCE_BYTES).hex().encode()
        self._head = bytearray()
        self._missing = 0

    def encode_request_head(self, length: int) -> bytes:
        """Return the head of the request that the response must answer."""
        return _REQUEST_HEAD % (_NONCE_HEADER, self._nonce, length)

    def feed(self, data: bytes) -> bytes:
        """Parse received bytes and return those of the body.

        Raises:
            InvalidResponse: The bytes are no response to the request.
        """
        if not self.status:
            self._head += data
            end = self._head.find(_HEAD_END, max(0, len(self._head) - len(data) - len(_HEAD_END)))
            if max(end, len(self._head) - len(data)) > HEAD_MAX_BYTES:
                raise InvalidResponse(f"the head of its response exceeds {HEAD_MAX_BYTES} bytes")
            if end < 0:
                return b""
            data = bytes(self._head[end + len(_HEAD_END) :])
            self._parse_head(bytes(self._head[:end]))
        body = data[: self._missing]
        self._missing -= len(body)
        self.is_complete = self._missing == 0
        self.has_trailing_data = len(body) < len(data)
        return body

    def _parse_head(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        found = _STATUS_LINE.fullmatch(lines[0])
        matches = [_HEADER.fullmatch(line) for line in lines[1:]]
        headers = [(match[1].lower(), match[2]) for match in matches if match]
        if found is None or len(headers) < len(matches):
            raise InvalidResponse("its response was not HTTP")
        if [value for name, value in headers if name == _NONCE_HEADER] != [self._nonce]:
            raise InvalidResponse("it answered another request")
        if len(headers) > RESPONSE_HEADERS_MAX + 1:  # the nonce is one more
            raise InvalidResponse(f"its response has more than {RESPONSE_HEADERS_MAX} headers")
        lengths = [value for name, value in headers if name == b"content-length"]
        if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            raise InvalidResponse("its response did not declare its length")
        self.status = int(found[1])
        self.length = self._missing = int(lengths[0])
        self.is_last = (b"connection", b"close") in headers
        self.headers = tuple(line for line in headers if line[0] not in (_NONCE_HEADER, b"content-length"))
