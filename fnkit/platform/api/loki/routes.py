"""Loki's HTTP API under ``/loki/api/v1``: routes, authentication, handlers, error responses and ``tail``.

Grafana, ``logcli`` and clients of Cockpit use it. Errors are plain text, as in Loki, and queries run in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from fnkit.platform.api.answers import JSON
from fnkit.platform.api.codec import encode
from fnkit.platform.api.loki import asking
from fnkit.platform.api.loki.asking import Question
from fnkit.platform.api.loki.callers import caller_of
from fnkit.platform.api.loki.failures import failure, plain, unauthorized
from fnkit.platform.api.loki.following import follow
from fnkit.platform.api.loki.parameters import read_form
from fnkit.platform.control.platform import ControlPlane

__all__ = ["PREFIX", "routes"]

PREFIX: Final = "/loki/api/v1"
READY_PATH: Final = "/ready"
_BOTH: Final = ["GET", "POST"]
Work: TypeAlias = Callable[[ControlPlane, Question], Awaitable[object]]

_OPERATIONS: Final[tuple[tuple[str, Work, list[str]], ...]] = (
    ("/query_range", asking.query_range, _BOTH),
    ("/query", asking.query, _BOTH),
    ("/labels", asking.labels, _BOTH),
    ("/label", asking.labels, _BOTH),
    ("/label/{name}/values", asking.label_values, ["GET"]),
    ("/series", asking.series, _BOTH),
    ("/index/stats", asking.index_stats, _BOTH),
    ("/format_query", asking.format_query, _BOTH),
    ("/status/buildinfo", asking.build_info, ["GET"]),
)


def routes(plane: ControlPlane) -> list[BaseRoute]:
    """Return the routes under ``/loki/api/v1``, and ``/ready``, which needs no API key."""
    routes: list[BaseRoute] = [
        Route(PREFIX + path, _guarded(plane, handler), methods=methods) for path, handler, methods in _OPERATIONS
    ]

    async def ready(_request: Request) -> Response:
        return plain("ready\n", 200) if plane.link.healthy else plain("the data plane is not ready yet\n", 503)

    # Order matters: starlette takes the first route that matches, and the last one matches every path.
    routes += [
        Route(READY_PATH, ready, methods=["GET"]),
        WebSocketRoute(f"{PREFIX}/tail", follow(plane)),
        Route(f"{PREFIX}/tail", _no_upgrade, methods=["GET"]),
        Route(PREFIX + "/{rest:path}", _elsewhere, methods=_BOTH),
    ]
    return routes


def _guarded(plane: ControlPlane, handler: Work) -> Callable[[Request], Awaitable[Response]]:
    """Require a valid API key; queries read only the logs that the key may read."""

    async def endpoint(request: Request) -> Response:
        caller = caller_of(plane, request.headers)
        if caller is None:
            return unauthorized()
        cancelled = Event()
        try:
            parameters = await read_form(request, plane.clock.now_ns())
            loki_request = Question(caller, parameters, request, cancelled)
            body = await _unless_gone(request, handler(plane, loki_request), cancelled)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            return failure(error)
        return Response(body, 200, media_type=JSON)

    return endpoint


async def _unless_gone(request: Request, work: Awaitable[object], cancelled: Event) -> bytes:
    """Await the work and encode its result; set ``cancelled`` if the client disconnects meanwhile.

    A query runs in a thread, which cannot be interrupted: it stops when it next checks ``cancelled``.
    """

    async def watch_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancelled.set()

    watch = asyncio.ensure_future(watch_disconnect())
    try:
        result = await work
        return await asyncio.to_thread(encode, result)  # up to 64 MiB, which would block the event loop
    finally:
        watch.cancel()


async def _no_upgrade(_request: Request) -> Response:
    return plain("tail is a WebSocket: send Upgrade: websocket", 400)


async def _elsewhere(request: Request) -> Response:
    paths = ", ".join([path.removeprefix("/") for path, _, _ in _OPERATIONS] + ["tail"])
    return plain(f"{request.url.path} is not supported here; {PREFIX} serves: {paths}", 404)
