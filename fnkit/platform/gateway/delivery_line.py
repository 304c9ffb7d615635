"""Control's connection for deliveries: messages of queues, ticks, replays. No token is asked for (decision 18).

Many are under way on it at a time, so that one read takes in all that has come since the last one, and one write
answers all that has ended.
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
    """See the module."""

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
        """Control is here."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._gateway.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Control is gone: nobody waits for what is under way; its instances are free when they have answered."""
        self._gateway.connections.discard(self)
        self._transport = None
        under_way, self._under_way = self._under_way, {}
        for delivered in under_way.values():
            delivered.abandon()

    def look(self, now: float, *, stalled: float, idle: float) -> bool:
        """Control may be silent for as long as it likes."""
        del now, stalled, idle
        return False

    def stop(self) -> None:
        """Close as soon as nothing is under way; what still comes is turned away."""
        self._stopping = True
        self._close_when_done()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Frames came, or pieces of some."""
        try:
            for frame in self._reader.feed(data):
                if frame.kind == POST:
                    self._begin(frame.number, read_post(frame.content))
                elif frame.kind == GIVE_UP and (delivered := self._under_way.pop(frame.number, None)) is not None:
                    delivered.abandon()
        except ValueError:  # nobody who speaks this says such a thing
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
            delivered = self._gateway.delivery(post, partial(self._answered, number))
        except Refused as refused:
            self._refuse(number, refused.response)
            return
        self._under_way[number] = delivered
        delivered.start()

    def _refuse(self, number: int, response: MappedResponse) -> None:
        self._say(number, Answer(response.status, of_function=False, words=response.body[:WORDS]))

    def _answered(self, number: int, answer: Answer) -> None:
        self._under_way.pop(number, None)
        self._say(number, answer)

    def _say(self, number: int, answer: Answer) -> None:
        self._answers.append(answer_frame(number, answer))
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
