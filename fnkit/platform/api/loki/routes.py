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
from fnkit.platform.api.loki.asking import LokiRequest
from fnkit.platform.api.loki.callers import authenticate
from fnkit.platform.api.loki.failures import loki_error_response, text_response, unauthorized_response
from fnkit.platform.api.loki.following import tail_endpoint
from fnkit.platform.api.loki.parameters import read_parameters
from fnkit.platform.control.platform import ControlPlane

__all__ = ["LOKI_PREFIX", "loki_routes"]

LOKI_PREFIX: Final = "/loki/api/v1"
READY_PATH: Final = "/ready"
_GET_AND_POST: Final = ["GET", "POST"]
LokiHandler: TypeAlias = Callable[[ControlPlane, LokiRequest], Awaitable[object]]

_OPERATIONS: Final[tuple[tuple[str, LokiHandler, list[str]], ...]] = (
    ("/query_range", asking.query_range, _GET_AND_POST),
    ("/query", asking.query_instant, _GET_AND_POST),
    ("/labels", asking.list_labels, _GET_AND_POST),
    ("/label", asking.list_labels, _GET_AND_POST),
    ("/label/{name}/values", asking.list_label_values, ["GET"]),
    ("/series", asking.list_series, _GET_AND_POST),
    ("/index/stats", asking.get_index_stats, _GET_AND_POST),
    ("/format_query", asking.format_query, _GET_AND_POST),
    ("/status/buildinfo", asking.get_build_info, ["GET"]),
)


def loki_routes(plane: ControlPlane) -> list[BaseRoute]:
    """Return the routes under ``/loki/api/v1``, and ``/ready``, which needs no API key."""
    routes: list[BaseRoute] = [
        Route(LOKI_PREFIX + path, _authenticated(plane, handler), methods=methods)
        for path, handler, methods in _OPERATIONS
    ]

    async def ready(_request: Request) -> Response:
        return (
            text_response("ready\n", 200)
            if plane.link.healthy
            else text_response("the data plane is not ready yet\n", 503)
        )

    # Order matters: starlette takes the first route that matches, and the last one matches every path.
    routes += [
        Route(READY_PATH, ready, methods=["GET"]),
        WebSocketRoute(f"{LOKI_PREFIX}/tail", tail_endpoint(plane)),
        Route(f"{LOKI_PREFIX}/tail", _upgrade_required, methods=["GET"]),
        Route(LOKI_PREFIX + "/{rest:path}", _not_found, methods=_GET_AND_POST),
    ]
    return routes


def _authenticated(plane: ControlPlane, handler: LokiHandler) -> Callable[[Request], Awaitable[Response]]:
    """Require a valid API key; queries read only the logs that the key may read."""

    async def endpoint(request: Request) -> Response:
        caller = authenticate(plane, request.headers)
        if caller is None:
            return unauthorized_response()
        cancelled = Event()
        try:
            parameters = await read_parameters(request, plane.clock.now_ns())
            loki_request = LokiRequest(caller, parameters, request, cancelled)
            body = await _encode_unless_disconnected(request, handler(plane, loki_request), cancelled)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            return loki_error_response(error)
        return Response(body, 200, media_type=JSON)

    return endpoint


async def _encode_unless_disconnected(request: Request, work: Awaitable[object], cancelled: Event) -> bytes:
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


async def _upgrade_required(_request: Request) -> Response:
    return text_response("tail is a WebSocket: send Upgrade: websocket", 400)


async def _not_found(request: Request) -> Response:
    paths = ", ".join([path.removeprefix("/") for path, _, _ in _OPERATIONS] + ["tail"])
    return text_response(f"{request.url.path} is not supported here; {LOKI_PREFIX} serves: {paths}", 404)
