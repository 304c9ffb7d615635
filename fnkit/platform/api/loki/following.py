"""``tail``: new lines over a WebSocket, for ``logcli --tail`` and the live mode of Grafana."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from fnkit.platform.api.codec import encode
from fnkit.platform.api.loki.asking import is_categorized
from fnkit.platform.api.loki.callers import caller_of
from fnkit.platform.api.loki.failures import failure, plain, unauthorized
from fnkit.platform.api.loki.parameters import parameters_of
from fnkit.platform.control.logs.answers import CATEGORIZED, StreamResult
from fnkit.platform.control.logs.tail import TAILS_MAX, TailRequest, tail
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.logql.parsing import parse_log_query

__all__ = ["follow"]

_GOING_AWAY: Final = 1001  # RFC 6455, section 7.4.1


class _Told(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A WebSocket message: new lines by stream."""

    streams: list[StreamResult]
    encoding_flags: list[str] = []


def follow(plane: ControlPlane) -> Callable[[WebSocket], Awaitable[None]]:
    """Return the WebSocket endpoint of ``tail``, which limits the number of simultaneous followers."""
    followers: set[WebSocket] = set()

    async def endpoint(socket: WebSocket) -> None:
        caller = caller_of(plane, socket.headers)
        if caller is None:
            await socket.send_denial_response(unauthorized())
            return
        try:
            request = _request(plane, socket)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            await socket.send_denial_response(failure(error))
            return
        # Between this check and add() nothing awaits, so concurrent requests cannot exceed the limit.
        if len(followers) >= TAILS_MAX:
            text = f"max concurrent tail requests limit exceeded, count > limit ({TAILS_MAX + 1} > {TAILS_MAX})"
            await socket.send_denial_response(plain(text, 400))
            return
        followers.add(socket)
        try:
            await socket.accept()
            await _tell(socket, tail(plane.logs, caller.project_id, request), categorized=request.categorized)
        finally:
            followers.discard(socket)

    return endpoint


def _request(plane: ControlPlane, socket: WebSocket) -> TailRequest:
    parameters = parameters_of(socket, plane.clock.now_ns())
    return TailRequest(
        query=parse_log_query(parameters.text("query")),
        start=parameters.span().start,
        limit=parameters.limit(),
        categorized=is_categorized(socket.headers),
    )


async def _tell(socket: WebSocket, streams: AsyncIterator[list[StreamResult]], *, categorized: bool) -> None:
    """Send new lines until the client disconnects or the platform stops."""
    flags = [CATEGORIZED] if categorized else []

    async def send() -> None:
        async for found in streams:
            await socket.send_text(encode(_Told(streams=found, encoding_flags=flags)).decode())

    # Only receive() reports a disconnect; send() alone would notice it at the next line, which may never come.
    sending = asyncio.ensure_future(send())
    receiving = asyncio.ensure_future(_until_gone(socket))
    try:
        await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(_GOING_AWAY)
    finally:
        sending.cancel()
        receiving.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
