"""HTTP client of one instance: writes requests to its socket and reads its responses.

The worker shares the handler's process, so anything that arrives may have been written by the handler. A response
is accepted for a request only if it repeats the nonce drawn for that request, and nothing may follow it.

Heads of earlier responses are cached. An instance sends the same few heads again and again, most responses arrive
in one read, and a lookup by the bytes of the head replaces six callbacks of the parser. The nonce, which differs in
every head, is its last line, so the lookup uses the bytes before it.
"""

from __future__ import annotations

from typing import Final

import httptools

from fnkit.platform.engine.answers import AnswerHeaders, KnownHead, known_answer, remember_answer
from fnkit.platform.engine.calls import LocalCall
from fnkit.platform.engine.marks import MARK_HEADER, marks

__all__ = ["AnswerReader", "NoAnswerError"]

_HEAD_MAX: Final = 1024 * 1024  # bytes; the default of Go's HTTP client, which the real platform's runtime uses
_FIRST_FINAL_STATUS: Final = 200
_REQUEST: Final = b"POST / HTTP/1.1\r\ncontent-type: application/json%b\r\ncontent-length: %d\r\n\r\n"
_marks: Final = marks()


class NoAnswerError(Exception):
    """What the instance sent is no response to the request. The message states the reason."""


class AnswerReader:
    """Parses the responses of one instance, in turn, and hands them to the request that waits.

    Attributes:
        has_trailing_data: Something followed a response.
        connection_close: The last response announced the end of the process; the instance must get no other
            request.
    """

    def __init__(self) -> None:
        self.has_trailing_data = False
        self.connection_close = False
        self._call: LocalCall | None = None
        self._mark = b""  # the header line that the head of the current response must end with
        self._strange = False  # the head carries the nonce of another request
        self._in_body = False
        self._complete = False
        self._head_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: tuple[int, AnswerHeaders] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def expect(self, call: LocalCall) -> None:
        """Deliver the next response to this request."""
        self._call = call
        self._mark = next(_marks)
        self._in_body = False
        self._head = None
        self._head_bytes = 0

    def question(self, document: bytes) -> bytes:
        """Return the bytes of the request, with its nonce."""
        return _REQUEST % (self._mark, len(document)) + document

    def read(self, data: bytes) -> bool:
        """Parse received bytes.

        Returns:
            Whether the response is complete.

        Raises:
            ProtocolViolation: The bytes are no response to the current request.
        """
        is_first = self._head_bytes == 0
        if is_first and (known := known_answer(data, self._mark)) is not None:
            self._pass_known(*known)
            return True
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.has_trailing_data = True
            if not self._complete:
                reason = "it answered another request" if self._strange else "its response was not HTTP"
                raise NoAnswerError(reason) from None
        if not self._complete:
            if not self._in_body and self._head_bytes > _HEAD_MAX:
                raise NoAnswerError(f"the head of its response exceeds {_HEAD_MAX} bytes")
            return False
        if is_first and self._head is not None and not self.has_trailing_data and not self.connection_close:
            remember_answer(data, self._mark, *self._head)
        self._complete = False
        return True

    def _pass_known(self, head: KnownHead, body: bytes) -> None:
        listener = self._call.listener if self._call is not None else None
        if listener is not None:
            listener.answer_started(head.status, head.headers)
            if body:
                listener.answer_data(body)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Note whether another response begins after the first."""
        self.has_trailing_data = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the nonce and start the response."""
        headers, self._headers = self._headers, []
        if self._complete:
            return  # the head of a second response, which is dropped
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            raise httptools.HttpParserError("an interim response")
        nonces = [value for name, value in headers if name.lower() == MARK_HEADER]
        # The whole list is compared: a second nonce header is a violation too.
        self._strange = nonces != [self._mark.rpartition(b" ")[2]]
        if self._strange:
            raise httptools.HttpParserError("a response to another request")
        self._in_body = True
        self._head = (status, tuple(header for header in headers if header[0].lower() != MARK_HEADER))
        if self._call is not None and self._call.listener is not None:
            self._call.listener.answer_started(*self._head)

    def on_body(self, data: bytes) -> None:
        """Deliver a part of the body."""
        if not self._complete and self._call is not None and self._call.listener is not None:
            self._call.listener.answer_data(data)

    def on_message_complete(self) -> None:
        """Note the end of the response."""
        if not self._complete and not self._parser.should_keep_alive():
            self.connection_close = True
        self._complete = True
