"""Reads the answers of one instance off its socket, and asks the questions.

The bridge is in the handler's own process: whatever comes may have been written by the handler. So an answer counts
for a request only if it gives back the number that was drawn for it, and nothing may follow it.
"""

from __future__ import annotations

from typing import Final

import httptools

from fnkit.platform.engine.answers import AnswerHeaders, KnownHead, known_answer, remember_answer
from fnkit.platform.engine.calls import LocalCall
from fnkit.platform.engine.marks import MARK_HEADER, marks

__all__ = ["AnswerReader", "NoAnswerError"]

_HEAD_MAX: Final = 1024 * 1024  # of an answer: Go's limit, which the core runtime's client has
_FIRST_FINAL_STATUS: Final = 200
_REQUEST: Final = b"POST / HTTP/1.1\r\ncontent-type: application/json%b\r\ncontent-length: %d\r\n\r\n"
_marks: Final = marks()


class NoAnswerError(Exception):
    """What came is no answer to the request. Its text says why."""


class AnswerReader:
    """spoke_on: something came behind the answer. asked_for_its_end: nothing is to be asked any more."""

    def __init__(self) -> None:
        self.spoke_on = False
        self.asked_for_its_end = False
        self._call: LocalCall | None = None
        self._mark = b""  # the line of the current request that its answer's head must end with
        self._strange = False  # the head that came is another request's
        self._in_body = False
        self._complete = False
        self._head_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: tuple[int, AnswerHeaders] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def expect(self, call: LocalCall) -> None:
        """The next answer is this call's."""
        self._call = call
        self._mark = next(_marks)
        self._in_body = False
        self._head = None
        self._head_bytes = 0

    def question(self, document: bytes) -> bytes:
        """Return the request as it is sent: HTTP, with its number."""
        return _REQUEST % (self._mark, len(document)) + document

    def read(self, data: bytes) -> bool:
        """Take what came; ``True`` once the answer is complete and all that came was read.

        ``NoAnswerError`` when there can be none.
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
            self.spoke_on = True
            if not self._complete:
                reason = "it answered another request" if self._strange else "its answer was not HTTP"
                raise NoAnswerError(reason) from None
        if not self._complete:
            if not self._in_body and self._head_bytes > _HEAD_MAX:
                raise NoAnswerError(f"the head of its answer exceeds {_HEAD_MAX} bytes")
            return False
        if is_first and self._head is not None and not self.spoke_on and not self.asked_for_its_end:
            remember_answer(data, self._mark, *self._head)
        self._complete = False
        return True

    def _pass_known(self, head: KnownHead, body: bytes) -> None:
        listener = self._call.listener if self._call is not None else None
        if listener is not None:
            listener.answer_started(head.status, head.headers)
            if body:
                listener.answer_data(body)

    # What the parser finds

    def on_message_begin(self) -> None:
        """The beginning of an answer, of which there is to be one."""
        self.spoke_on = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the head."""
        headers, self._headers = self._headers, []
        if self._complete:
            return  # of an answer behind the answer
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL_STATUS:
            raise httptools.HttpParserError("an interim answer")
        marked = [value for name, value in headers if name.lower() == MARK_HEADER]
        self._strange = marked != [self._mark.rpartition(b" ")[2]]
        if self._strange:
            raise httptools.HttpParserError("an answer to another request")
        self._in_body = True
        self._head = (status, tuple(header for header in headers if header[0].lower() != MARK_HEADER))
        if self._call is not None and self._call.listener is not None:
            self._call.listener.answer_started(*self._head)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self._complete and self._call is not None and self._call.listener is not None:
            self._call.listener.answer_data(data)

    def on_message_complete(self) -> None:
        """The end of the answer."""
        if not self._complete and not self._parser.should_keep_alive():
            # "connection: close": the handler asked for the process's end; nobody is to get it again
            self.asked_for_its_end = True
        self._complete = True
