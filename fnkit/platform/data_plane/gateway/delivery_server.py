"""The gateway's end of the delivery protocol: queue messages, scheduled runs and replays sent by control.

Deliveries come through a Unix socket of mode 0600 and need no token. Many share one connection: one read decodes
all requests that have arrived, and one write sends all responses of an iteration of the event loop.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from fnkit.contract.invocation.http_head import REQUEST_BODY_MAX_BYTES, json_message
from fnkit.contract.invocation.response import MappedResponse
from fnkit.platform.data_plane.gateway.gateway import Gateway, RequestRejected
from fnkit.platform.data_plane.gateway.invocation import MAX_ERROR_EXCERPT_BYTES, DeliveryInvocation
from fnkit.platform.model.delivery_protocol import (
    CANCEL,
    REQUEST,
    DeliveryRequest,
    DeliveryResponse,
    FrameDecoder,
    decode_request,
    encode_response_frame,
)
from fnkit.platform.peers import is_own_process


class DeliveryConnection(asyncio.Protocol):
    """A connection of control for deliveries."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._decoder = FrameDecoder()
        self._invocations: dict[int, DeliveryInvocation] = {}
        self._response_frames: list[bytes] = []
        self._is_stopping = False

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not subclass it
        if not is_own_process(transport.get_extra_info("socket")):
            self._transport.abort()
            return
        self._gateway.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Abandon every delivery of the connection; their instances become idle when the handlers finish."""
        self._gateway.connections.discard(self)
        self._transport = None
        invocations, self._invocations = self._invocations, {}
        for invocation in invocations.values():
            invocation.cancel()

    def check_timeouts(self, now: float, *, request_timeout: float, idle_timeout: float) -> bool:
        """Never close: control keeps this connection open while it has nothing to deliver."""
        del now, request_timeout, idle_timeout
        return False

    def close_when_idle(self) -> None:
        """Reject further deliveries, and close when the current ones have ended."""
        self._is_stopping = True
        self._close_if_idle()

    def close(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Start or cancel the deliveries of the received frames."""
        try:
            for frame in self._decoder.feed(data):
                if frame.kind == REQUEST:
                    self._start(frame.delivery_id, decode_request(frame.payload))
                elif (
                    frame.kind == CANCEL
                    and (invocation := self._invocations.pop(frame.delivery_id, None)) is not None
                ):
                    invocation.cancel()
        except ValueError:  # not the protocol: frame boundaries are lost, so the connection cannot go on
            self.close()

    # Deliveries

    def _start(self, delivery_id: int, request: DeliveryRequest) -> None:
        if len(request.body) > REQUEST_BODY_MAX_BYTES:
            self._reject(delivery_id, json_message(413, f"the body exceeds {REQUEST_BODY_MAX_BYTES} bytes"))
            return
        if self._is_stopping:
            self._reject(delivery_id, json_message(503, "the platform is stopping"))
            return
        try:
            invocation = self._gateway.create_delivery(request, partial(self._on_done, delivery_id))
        except RequestRejected as refused:
            self._reject(delivery_id, refused.response)
            return
        self._invocations[delivery_id] = invocation
        invocation.start()

    def _reject(self, delivery_id: int, response: MappedResponse) -> None:
        self._queue_response(
            delivery_id,
            DeliveryResponse(
                response.status, from_function=False, error_excerpt=response.body[:MAX_ERROR_EXCERPT_BYTES]
            ),
        )

    def _on_done(self, delivery_id: int, response: DeliveryResponse) -> None:
        self._invocations.pop(delivery_id, None)
        self._queue_response(delivery_id, response)

    def _queue_response(self, delivery_id: int, response: DeliveryResponse) -> None:
        self._response_frames.append(encode_response_frame(delivery_id, response))
        # One write for all responses of this iteration of the event loop: a system call costs more than a frame.
        if len(self._response_frames) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        answers, self._response_frames = self._response_frames, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(answers))
        if self._is_stopping:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self._invocations and not self._response_frames:
            self.close()
