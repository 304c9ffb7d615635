"""Loki's HTTP API under ``/loki/api/v1``: routes, authentication, handlers, error responses and ``tail``.

Grafana, ``logcli`` and clients of Cockpit use it. Errors are plain text, as in Loki, and queries run in threads.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from threading import Event
from typing import Final, TypeAlias

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from fnkit.platform.control.api.http import JSON, encode, wait_for_disconnect
from fnkit.platform.control.api.loki_parameters import LokiParameters, connection_parameters, read_parameters
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.logs.query import QueryTimedOut, RangeRequest, TooManyQueries
from fnkit.platform.control.logs.results import (
    CATEGORIZE_LABELS,
    IndexStats,
    ListResult,
    QueryResponse,
    StreamResult,
)
from fnkit.platform.control.logs.tail import MAX_TAILS, TailRequest, tail
from fnkit.platform.control.resources.access import Principal
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.parser import parse_log_query

_ENCODING_FLAGS_HEADER: Final = "x-loki-response-encoding-flags"
_DEFAULT_LABELS_RANGE: Final = 6 * 3600 * 10**9  # nanoseconds; default time range of labels and series, as in Loki

_QUERY_ERROR_STATUSES: Final = {QueryTimedOut: 504, TooManyQueries: 429}  # 400 for all others

_logger = logging.getLogger(__name__)

_CLOSE_GOING_AWAY: Final = 1001  # RFC 6455, section 7.4.1

_LOKI_PREFIX: Final = "/loki/api/v1"
_READY_PATH: Final = "/ready"
_GET_AND_POST: Final = ["GET", "POST"]


@dataclass(frozen=True, slots=True)
class LokiRequest:
    """An authenticated request to Loki's API.

    Attributes:
        principal: The principal of the API key.
        parameters: The parameters of the query string and of a form.
        http_request: The HTTP request.
        cancelled: Set once the client has disconnected; the query thread then stops.
    """

    principal: Principal
    parameters: LokiParameters
    http_request: Request
    cancelled: Event


def _wants_categorized_labels(headers: Headers) -> bool:
    """Return whether a client, such as Grafana, wants the labels of each line separate from those of its stream."""
    return CATEGORIZE_LABELS in (flag.strip() for flag in headers.get(_ENCODING_FLAGS_HEADER, "").split(","))


async def _query_range(plane: ControlPlane, request: LokiRequest) -> QueryResponse:
    """Return the lines, or the series of numbers, of a time range."""
    parameters = request.parameters
    span = parameters.time_range()
    range_request = RangeRequest(
        query=parameters.get("query"),
        start=span.start,
        end=span.end,
        step=parameters.step(span),
        limit=parameters.limit(),
        direction=parameters.direction(),
        interval=parameters.interval(),
        categorized=_wants_categorized_labels(request.http_request.headers),
    )
    data = await plane.logs.query_range(request.principal.project_id, range_request, request.cancelled)
    return QueryResponse(data=data)


async def _query_instant(plane: ControlPlane, request: LokiRequest) -> QueryResponse:
    """Return the numbers at a single time."""
    parameters = request.parameters
    parameters.limit()  # an invalid limit is an error, although numbers have none
    data = await plane.logs.query_instant(
        request.principal.project_id, parameters.get("query"), parameters.time(), request.cancelled
    )
    return QueryResponse(data=data)


async def _list_labels(plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return the names of labels."""
    return ListResult(data=sorted({name for one in await _find_series(plane, request) for name in one}))


async def _list_label_values(plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return the values of a label."""
    name = str(request.http_request.path_params["name"])
    return ListResult(data=sorted({one[name] for one in await _find_series(plane, request) if name in one}))


async def _list_series(plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return the labels of streams."""
    return ListResult(data=await _find_series(plane, request))


async def _find_series(plane: ControlPlane, request: LokiRequest) -> list[dict[str, str]]:
    parameters = request.parameters
    # Clients send {} for all streams. The parser rejects it, as Loki does in a query, so it counts as no selector.
    selectors = [text for text in parameters.get_all("match", "match[]", "query") if text.strip() != "{}"]
    span = parameters.time_range(_DEFAULT_LABELS_RANGE)
    return await plane.logs.list_series(request.principal.project_id, selectors, span, request.cancelled)


async def _get_index_stats(plane: ControlPlane, request: LokiRequest) -> IndexStats:
    """Return the number of streams, lines and bytes that a selector matches."""
    parameters = request.parameters
    return await plane.logs.index_stats(
        request.principal.project_id, parameters.get("query"), parameters.time_range(), request.cancelled
    )


async def _get_build_info(plane: ControlPlane, _request: LokiRequest) -> dict[str, str]:
    """Return the version of fnkit in the fields of Loki's response."""
    return {
        "version": plane.version,
        "revision": "",
        "branch": "fnkit",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }


def authenticate(plane: ControlPlane, headers: Headers) -> Principal | None:
    """Return the principal of the first valid API key in the headers, or ``None``.

    A key may be in ``X-Auth-Token``, in ``X-Token`` (Cockpit), a bearer token or the password of basic
    authentication.
    """
    for key in _candidate_keys(headers):
        if (caller := plane.api_keys.authenticate(key)) is not None:
            return caller
    return None


def _candidate_keys(headers: Headers) -> list[bytes]:
    values = [value for name in ("x-auth-token", "x-token") if (value := headers.get(name))]
    keys = [value.encode("latin-1", "replace") for value in values]
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        keys.append(value.strip().encode("latin-1", "replace"))
    elif scheme.lower() == "basic":
        try:
            keys.append(base64.b64decode(value.strip(), validate=True).partition(b":")[2])
        except (binascii.Error, ValueError):
            return keys
    return keys


def _text_response(text: str, status: int) -> Response:
    """Return a plain-text response."""
    return PlainTextResponse(text, status, headers={"X-Content-Type-Options": "nosniff"})


def _unauthorized_response() -> Response:
    """Return the response to a request without a valid API key.

    Loki itself has no authentication; a reverse proxy in front of it asks for basic authentication, as this does.
    """
    response = _text_response(
        "no valid key: give the secret key, or an API key, as X-Auth-Token, bearer token or password", 401
    )
    response.headers["WWW-Authenticate"] = 'Basic realm="Loki"'
    return response


def _loki_error_response(error: Exception) -> Response:
    """Map an exception to its error response, and log exceptions that the client did not cause."""
    match error:
        case QueryError():
            return _text_response(error.message, _QUERY_ERROR_STATUSES.get(type(error), 400))
        case RecursionError():
            return _text_response("parse error : the query is nested too deeply", 400)
        case ClientDisconnect():
            return _text_response("the request ended early", 400)
        case sqlite3.OperationalError():
            _logger.error("Store unavailable: %s", error)
            return _text_response("the platform's store cannot be used", 503)
        case _:
            _logger.error("Unhandled exception in a request to the log API", exc_info=error)
            return _text_response("internal error", 500)


class _TailMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A WebSocket message: new lines by stream."""

    streams: list[StreamResult]
    encoding_flags: list[str] = []


def _tail_endpoint(plane: ControlPlane) -> Callable[[WebSocket], Awaitable[None]]:
    """Return the WebSocket endpoint of ``tail``, which limits the number of simultaneous followers."""
    followers: set[WebSocket] = set()

    async def endpoint(socket: WebSocket) -> None:
        caller = authenticate(plane, socket.headers)
        if caller is None:
            await socket.send_denial_response(_unauthorized_response())
            return
        try:
            request = _tail_request(plane, socket)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            await socket.send_denial_response(_loki_error_response(error))
            return
        # Between this check and add() nothing awaits, so concurrent requests cannot exceed the limit.
        if len(followers) >= MAX_TAILS:
            text = f"max concurrent tail requests limit exceeded, count > limit ({MAX_TAILS + 1} > {MAX_TAILS})"
            await socket.send_denial_response(_text_response(text, 400))
            return
        followers.add(socket)
        try:
            await socket.accept()
            streams = tail(plane.logs, caller.project_id, request)
            await _send_streams(socket, streams, categorized=request.categorized)
        finally:
            followers.discard(socket)

    return endpoint


def _tail_request(plane: ControlPlane, socket: WebSocket) -> TailRequest:
    parameters = connection_parameters(socket, plane.clock.now_ns())
    return TailRequest(
        query=parse_log_query(parameters.get("query")),
        start=parameters.time_range().start,
        limit=parameters.limit(),
        categorized=_wants_categorized_labels(socket.headers),
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


LokiHandler: TypeAlias = Callable[[ControlPlane, LokiRequest], Awaitable[object]]

_OPERATIONS: Final[tuple[tuple[str, str, LokiHandler, list[str]], ...]] = (
    ("QueryLogRange", "/query_range", _query_range, _GET_AND_POST),
    ("QueryLogs", "/query", _query_instant, _GET_AND_POST),
    ("ListLogLabels", "/labels", _list_labels, _GET_AND_POST),
    ("ListLogLabels", "/label", _list_labels, _GET_AND_POST),
    ("ListLogLabelValues", "/label/{name}/values", _list_label_values, ["GET"]),
    ("ListLogSeries", "/series", _list_series, _GET_AND_POST),
    ("GetLogStatistics", "/index/stats", _get_index_stats, _GET_AND_POST),
    ("GetLokiBuildInfo", "/status/buildinfo", _get_build_info, ["GET"]),
)


def loki_routes(plane: ControlPlane) -> list[BaseRoute]:
    """Return the routes under ``/loki/api/v1``, and ``/ready``, which needs no API key."""
    routes: list[BaseRoute] = [
        Route(_LOKI_PREFIX + path, _authenticated(plane, handler), methods=methods, name=name)
        for name, path, handler, methods in _OPERATIONS
    ]

    async def ready(_request: Request) -> Response:
        if plane.link.healthy:
            return _text_response("ready\n", 200)
        return _text_response("the data plane is not ready yet\n", 503)

    # Order matters: starlette takes the first route that matches, and the last one matches every path.
    routes += [
        Route(_READY_PATH, ready, methods=["GET"], name="GetLokiReadiness"),
        WebSocketRoute(f"{_LOKI_PREFIX}/tail", _tail_endpoint(plane)),
        Route(f"{_LOKI_PREFIX}/tail", _upgrade_required, methods=["GET"], name="TailLogs"),
        Route(_LOKI_PREFIX + "/{rest:path}", _not_found, methods=_GET_AND_POST, name="UnknownLokiPath"),
    ]
    return routes


def _authenticated(plane: ControlPlane, handler: LokiHandler) -> Callable[[Request], Awaitable[Response]]:
    """Require a valid API key; queries read only the logs that the key may read."""

    async def endpoint(request: Request) -> Response:
        caller = authenticate(plane, request.headers)
        if caller is None:
            return _unauthorized_response()
        request.state.caller = caller
        cancelled = Event()
        try:
            parameters = await read_parameters(request, plane.clock.now_ns())
            loki_request = LokiRequest(caller, parameters, request, cancelled)
            body = await _encode_unless_disconnected(request, handler(plane, loki_request), cancelled)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            return _loki_error_response(error)
        return Response(body, 200, media_type=JSON)

    return endpoint


async def _encode_unless_disconnected(request: Request, work: Awaitable[object], cancelled: Event) -> bytes:
    """Await the work and encode its result; set ``cancelled`` if the client disconnects meanwhile.

    A query runs in a thread, which cannot be interrupted: it stops when it next checks ``cancelled``.
    """

    async def watch_disconnect() -> None:
        await wait_for_disconnect(request)
        cancelled.set()

    watch = asyncio.ensure_future(watch_disconnect())
    try:
        result = await work
        return await asyncio.to_thread(encode, result)  # up to 64 MiB, which would block the event loop
    finally:
        watch.cancel()


async def _upgrade_required(_request: Request) -> Response:
    return _text_response("tail is a WebSocket: send Upgrade: websocket", 400)


async def _not_found(request: Request) -> Response:
    paths = ", ".join([path.removeprefix("/") for _, path, _, _ in _OPERATIONS] + ["tail"])
    return _text_response(f"{request.url.path} is not supported here; {_LOKI_PREFIX} serves: {paths}", 404)
