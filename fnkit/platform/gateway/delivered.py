"""Deliveries of messages to functions: the invocation of one message, and the request that its function gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fnkit.contract.invocation import map_failure, map_response, needs_complete_body
from fnkit.platform.delivery_frames import DeliveryResponse
from fnkit.platform.engine.answers import ResponseHeaders
from fnkit.platform.engine.contract import Engine, RequestFailure
from fnkit.platform.engine.meters import FunctionCounters
from fnkit.platform.gateway.asking import Invocation
from fnkit.platform.gateway.responses import failure_response, pass_through_head
from fnkit.platform.gateway.tracing import Trace

__all__ = ["MAX_ERROR_EXCERPT_BYTES", "DeliveryInvocation"]

MAX_ERROR_EXCERPT_BYTES: Final = 300
"""Bytes of an error body that are reported to control."""

_FAILURE_STATUS: Final = 300
_HANDLER_ERROR_STATUS: Final = 500
_MAX_BUFFERED_BYTES: Final = 32 * 1024 * 1024
_JSON_WHITESPACE: Final = b" \t\r\n"


class DeliveryInvocation(Invocation):
    """Delivers one message and calls ``on_done`` with the status that an HTTP client would get.

    ``on_done`` is called once, unless the invocation is cancelled.
    """

    __slots__ = (
        "_on_done",
        "_function_id",
        "_response_headers",
        "_body_parts",
        "_request_id",
        "_body_size",
        "_response_status",
    )

    def __init__(
        self,
        engine: Engine,
        counters: FunctionCounters,
        function_id: str,
        request_id: str,
        payload: bytes,
        on_done: Callable[[DeliveryResponse], None],
        trace: Trace | None,
    ) -> None:
        super().__init__(engine, counters, payload, trace)
        self._function_id = function_id
        self._request_id = request_id
        self._on_done = on_done
        self._response_status = 0
        self._response_headers: ResponseHeaders = ()
        self._body_parts: list[bytes] = []
        self._body_size = 0

    def start(self) -> None:
        """Request an instance from the engine."""
        pending_request = self._engine.acquire(self._function_id, self._request_id, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._is_cancelled:
            self._pending_request = pending_request

    # Listener

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """Store the head of the response."""
        self._response_status, self._response_headers = status, headers

    def on_response_data(self, data: bytes) -> None:
        """Buffer a piece of the body; discard it beyond the size up to which a body is mapped."""
        self._body_size += len(data)
        if self._body_size <= _MAX_BUFFERED_BYTES:
            self._body_parts.append(data)

    def on_response_end(self) -> None:
        """Report the mapped response."""
        self._pending_request = None
        status, body = self._map_response(b"".join(self._body_parts))
        self._count_response(status)
        self._on_done(
            DeliveryResponse(
                status,
                from_function=True,
                error_excerpt=body[:MAX_ERROR_EXCERPT_BYTES] if status >= _FAILURE_STATUS else b"",
            )
        )

    def on_failure(self, failure: RequestFailure) -> None:
        """Report the gateway's error response."""
        self._pending_request = None
        if self._is_cancelled:
            return
        response = failure_response(failure)
        self._count_response(response.status)
        self._on_done(
            DeliveryResponse(
                response.status, from_function=False, error_excerpt=response.body[:MAX_ERROR_EXCERPT_BYTES]
            )
        )

    def _map_response(self, body: bytes) -> tuple[int, bytes]:
        if self._response_status == _HANDLER_ERROR_STATUS:
            mapped = map_failure(body.decode("utf-8", "replace"))
        elif (
            self._body_size > _MAX_BUFFERED_BYTES
            or not (start := body.lstrip(_JSON_WHITESPACE))
            or not needs_complete_body(start[0])
        ):
            return pass_through_head(self._response_status, self._response_headers)[0], body
        else:
            headers = [
                (name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._response_headers
            ]
            mapped = map_response(self._response_status, headers, body)
        return mapped.status, mapped.body
