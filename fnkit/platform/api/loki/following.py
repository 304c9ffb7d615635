"""``tail``: new lines over a WebSocket, for ``logcli --tail`` and the live mode of Grafana."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from fnkit.platform.api.codec import encode
from fnkit.platform.api.loki.asking import wants_categorized_labels
from fnkit.platform.api.loki.callers import authenticate
from fnkit.platform.api.loki.failures import loki_error_response, text_response, unauthorized_response
from fnkit.platform.api.loki.parameters import connection_parameters
from fnkit.platform.control.logs.answers import CATEGORIZE_LABELS, StreamResult
from fnkit.platform.control.logs.tail import MAX_TAILS, TailRequest, tail
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.logql.parsing import parse_log_query

__all__ = ["tail_endpoint"]

_CLOSE_GOING_AWAY: Final = 1001  # RFC 6455, section 7.4.1


class _TailMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A WebSocket message: new lines by stream."""

    streams: list[StreamResult]
    encoding_flags: list[str] = []


def tail_endpoint(plane: ControlPlane) -> Callable[[WebSocket], Awaitable[None]]:
    """Return the WebSocket endpoint of ``tail``, which limits the number of simultaneous followers."""
    followers: set[WebSocket] = set()

    async def endpoint(socket: WebSocket) -> None:
        caller = authenticate(plane, socket.headers)
        if caller is None:
            await socket.send_denial_response(unauthorized_response())
            return
        try:
            request = _tail_request(plane, socket)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            await socket.send_denial_response(loki_error_response(error))
            return
        # Between this check and add() nothing awaits, so concurrent requests cannot exceed the limit.
        if len(followers) >= MAX_TAILS:
            text = f"max concurrent tail requests limit exceeded, count > limit ({MAX_TAILS + 1} > {MAX_TAILS})"
            await socket.send_denial_response(text_response(text, 400))
            return
        followers.add(socket)
        try:
            await socket.accept()
            await _send_streams(
                socket, tail(plane.logs, caller.project_id, request), categorized=request.categorized
            )
        finally:
            followers.discard(socket)

    return endpoint


def _tail_request(plane: ControlPlane, socket: WebSocket) -> TailRequest:
    parameters = connection_parameters(socket, plane.clock.now_ns())
    return TailRequest(
        query=parse_log_query(parameters.get("query")),
        start=parameters.time_range().start,
        limit=parameters.limit(),
        categorized=wants_categorized_labels(socket.headers),
    )


async def _send_streams(
    socket: WebSocket, streams: AsyncIterator[list[StreamResult]], *, categorized: bool
) -> None:
    """Send new lines until the client disconnects or the platform stops."""
    flags = [CATEGORIZE_LABELS] if categorized else []

    async def send() -> None:
        async for found in streams:
            await socket.send_text(encode(_TailMessage(streams=found, encoding_flags=flags)).decode())

    # Only receive() reports a disconnect; send() alone would notice it at the next line, which may never come.
    sending = asyncio.ensure_future(send())
    receiving = asyncio.ensure_future(_wait_for_disconnect(socket))
    try:
        await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(_CLOSE_GOING_AWAY)
    finally:
        sending.cancel()
        receiving.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _wait_for_disconnect(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
