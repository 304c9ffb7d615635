"""Deliveries of messages to functions: the invocation of one message, and the request that its function gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fnkit.contract.invocation import map_failure, map_response, needs_whole_body
from fnkit.platform.delivery_frames import Answer
from fnkit.platform.engine.answers import AnswerHeaders
from fnkit.platform.engine.contract import Engine, Failure
from fnkit.platform.engine.meters import FunctionMeter
from fnkit.platform.gateway.asking import Asking
from fnkit.platform.gateway.responses import failure_response, pass_through_head
from fnkit.platform.gateway.tracing import Trace

__all__ = ["WORDS", "Delivered"]

WORDS: Final = 300
"""Bytes of an error body that are reported to control."""

_REFUSED: Final = 300
_FAILED: Final = 500
_BUFFER_MAX: Final = 32 * 1024 * 1024
_BLANKS: Final = b" \t\r\n"


class Delivered(Asking):
    """Delivers one message and calls ``on_done`` with the status that an HTTP client would get.

    ``on_done`` is called once, unless the invocation is cancelled.
    """

    __slots__ = (
        "_answered",
        "_function_id",
        "_headers",
        "_parts",
        "_request_id",
        "_size",
        "_status",
    )

    def __init__(
        self,
        engine: Engine,
        meter: FunctionMeter,
        function_id: str,
        request_id: str,
        payload: bytes,
        answered: Callable[[Answer], None],
        trace: Trace | None,
    ) -> None:
        super().__init__(engine, meter, payload, trace)
        self._function_id = function_id
        self._request_id = request_id
        self._answered = answered
        self._status = 0
        self._headers: AnswerHeaders = ()
        self._parts: list[bytes] = []
        self._size = 0

    def start(self) -> None:
        """Request an instance from the engine."""
        pending_request = self._engine.acquire(self._function_id, self._request_id, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._gone:
            self._call = pending_request

    # Listener

    def answer_started(self, status: int, headers: AnswerHeaders) -> None:
        """Store the head of the response."""
        self._status, self._headers = status, headers

    def answer_data(self, data: bytes) -> None:
        """Buffer a piece of the body; discard it beyond the size up to which a body is mapped."""
        self._size += len(data)
        if self._size <= _BUFFER_MAX:
            self._parts.append(data)

    def answer_ended(self) -> None:
        """Report the mapped response."""
        self._call = None
        status, body = self._mapped(b"".join(self._parts))
        self._count(status)
        self._answered(Answer(status, of_function=True, words=body[:WORDS] if status >= _REFUSED else b""))

    def failed(self, failure: Failure) -> None:
        """Report the gateway's error response."""
        self._call = None
        if self._gone:
            return
        response = failure_response(failure)
        self._count(response.status)
        self._answered(Answer(response.status, of_function=False, words=response.body[:WORDS]))

    def _mapped(self, body: bytes) -> tuple[int, bytes]:
        if self._status == _FAILED:
            mapped = map_failure(body.decode("utf-8", "replace"))
        elif self._size > _BUFFER_MAX or not (start := body.lstrip(_BLANKS)) or not needs_whole_body(start[0]):
            return pass_through_head(self._status, self._headers)[0], body
        else:
            headers = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._headers]
            mapped = map_response(self._status, headers, body)
        return mapped.status, mapped.body
