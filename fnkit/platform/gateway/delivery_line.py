"""The gateway's end of the delivery protocol: queue messages, scheduled runs and replays sent by control.

Deliveries come through a Unix socket of mode 0600 and need no token. Many share one connection: one read decodes
all requests that have arrived, and one write sends all responses of an iteration of the event loop.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from fnkit.contract.invocation import MappedResponse
from fnkit.platform.delivery_frames import (
    GIVE_UP,
    POST,
    Answer,
    FrameReader,
    Post,
    answer_frame,
    read_post,
)
from fnkit.platform.gateway.delivered import WORDS, Delivered
from fnkit.platform.gateway.gateway import Gateway, Refused
from fnkit.platform.gateway.requests import BODY_MAX_BYTES
from fnkit.platform.gateway.responses import message_response

__all__ = ["DeliveryLine"]


class DeliveryLine(asyncio.Protocol):
    """A connection of control for deliveries."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._under_way: dict[int, Delivered] = {}
        self._answers: list[bytes] = []
        self._stopping = False

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not subclass it
        self._gateway.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Abandon every delivery of the connection; their instances become idle when the handlers finish."""
        self._gateway.connections.discard(self)
        self._transport = None
        invocations, self._under_way = self._under_way, {}
        for invocation in invocations.values():
            invocation.abandon()

    def look(self, now: float, *, request_timeout: float, idle_timeout: float) -> bool:
        """Never close: control keeps this connection open while it has nothing to deliver."""
        del now, request_timeout, idle_timeout
        return False

    def stop(self) -> None:
        """Reject further deliveries, and close when the current ones have ended."""
        self._stopping = True
        self._close_when_done()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Start or cancel the deliveries of the received frames."""
        try:
            for frame in self._reader.feed(data):
                if frame.kind == POST:
                    self._begin(frame.number, read_post(frame.content))
                elif frame.kind == GIVE_UP and (invocation := self._under_way.pop(frame.number, None)) is not None:
                    invocation.abandon()
        except ValueError:  # not the protocol: frame boundaries are lost, so the connection cannot go on
            self.abort()

    # Deliveries

    def _begin(self, number: int, post: Post) -> None:
        if len(post.body) > BODY_MAX_BYTES:
            self._refuse(number, message_response(413, f"the body exceeds {BODY_MAX_BYTES} bytes"))
            return
        if self._stopping:
            self._refuse(number, message_response(503, "the platform is stopping"))
            return
        try:
            invocation = self._gateway.delivery(post, partial(self._answered, number))
        except Refused as refused:
            self._refuse(number, refused.response)
            return
        self._under_way[number] = invocation
        invocation.start()

    def _refuse(self, number: int, response: MappedResponse) -> None:
        self._say(number, Answer(response.status, of_function=False, words=response.body[:WORDS]))

    def _answered(self, number: int, answer: Answer) -> None:
        self._under_way.pop(number, None)
        self._say(number, answer)

    def _say(self, number: int, answer: Answer) -> None:
        self._answers.append(answer_frame(number, answer))
        # One write for all responses of this iteration of the event loop: a system call costs more than a frame.
        if len(self._answers) == 1:
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        answers, self._answers = self._answers, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(answers))
        if self._stopping:
            self._close_when_done()

    def _close_when_done(self) -> None:
        if not self._under_way and not self._answers:
            self.abort()
