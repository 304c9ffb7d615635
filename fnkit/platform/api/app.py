"""The ASGI application of the control plane: routing, authentication and error handling."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fnkit.contract.limits import REGIONS
from fnkit.contract.platform import KEYS_PATH, PLATFORM_PATH
from fnkit.platform.api import archives, deliveries, keys, own
from fnkit.platform.api.answers import failure, json_answer
from fnkit.platform.api.call import Call, caller_of
from fnkit.platform.api.document import route as document
from fnkit.platform.api.legacy import LEGACY
from fnkit.platform.api.loki import routes as loki
from fnkit.platform.api.metrics import route as metrics
from fnkit.platform.api.operations import OPERATIONS, Operation
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.refusals import Refusal, unauthenticated
from fnkit.platform.control.visibility import Visibility, resource_name

__all__ = ["SERVES", "application"]

SERVES = "this host serves the Functions API under /functions/v1beta1/regions/{fr-par,nl-ams,pl-waw}"
_PREFIX = "/functions/v1beta1/regions/{region}"
_logger = logging.getLogger(__name__)

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Work: TypeAlias = Callable[[ControlPlane, Request], Awaitable[object]]


def application(plane: ControlPlane) -> Starlette:
    """Return the ASGI application that serves a control plane.

    Args:
        plane: The control plane that handles the requests; the caller opens and closes it.
    """
    routes: list[BaseRoute] = [_served(plane, operation) for operation in (*OPERATIONS, *LEGACY)]
    routes += [
        Route(PLATFORM_PATH, _guarded(plane, own.platform), methods=["GET"]),
        Route(own.CLOCK_PATH, _guarded(plane, own.clock), methods=["POST"]),
        Route(KEYS_PATH, _guarded(plane, keys.create), methods=["POST"]),
        Route(KEYS_PATH, _guarded(plane, keys.every), methods=["GET"]),
        Route(keys.KEY_PATH, _guarded(plane, keys.delete), methods=["DELETE"]),
        Route(own.HEALTH_PATH, _open(plane, own.health), methods=["GET"]),
        Route(metrics.PATH, _open(plane, metrics.get), methods=["GET"]),
        Route(own.METADATA_PATH, _open(plane, own.metadata), methods=["GET"]),
        Route(document.PATH, _open(plane, document.get), methods=["GET"]),
        Route(archives.PATH, _open(plane, archives.put), methods=["PUT"]),
        Route(archives.PATH, _open(plane, archives.get), methods=["GET"]),
    ]
    routes += [
        Route(path, _guarded(plane, handler), methods=[method]) for method, path, handler in deliveries.ROUTES
    ]
    routes += loki.routes(plane)
    routes = [metrics.metered(route, plane.context.meter) for route in routes]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _elsewhere})
    # Paths match exactly: without this, starlette redirects a path with a trailing slash (307) instead of a 404.
    app.router.redirect_slashes = False
    return app


def _served(plane: ControlPlane, operation: Operation) -> Route:
    async def handler(_plane: ControlPlane, request: Request) -> object:
        caller = caller_of(request)
        region = str(request.path_params["region"])
        if region not in REGIONS:
            raise Refusal(404, f"unknown region {region[:64]!r}: {SERVES}")
        if operation.writes:
            caller.require_write(resource_name(operation.kind))
        call = Call(request, operation.kind, Visibility(plane.context.store, caller))
        return await operation.handler(plane, call)

    path = _PREFIX + operation.path
    return Route(path, _guarded(plane, handler), methods=[operation.method], name=operation.name)


def _guarded(plane: ControlPlane, handler: Work) -> Endpoint:
    """Require a valid API key; handlers check what the key may do."""

    async def endpoint(request: Request) -> Response:
        # Starlette decodes header values as Latin-1, so this restores the bytes that the client sent.
        secret = request.headers.get("x-auth-token", "").encode("latin-1", "replace")
        if (caller := plane.keys.caller(secret)) is None:
            return failure(unauthenticated())
        request.state.caller = caller
        try:
            return json_answer(await handler(plane, request))
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            return _failed(error)

    return endpoint


def _open(plane: ControlPlane, handler: Callable[[ControlPlane, Request], Awaitable[Response]]) -> Endpoint:
    """Serve without an API key."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(plane, request)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            return _failed(error)

    return endpoint


async def _elsewhere(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:  # noqa: PLR2004  Method Not Allowed
        response = json_answer({"message": "this method is not allowed here"}, status)
        response.headers.update(getattr(error, "headers", None) or {})  # Allow, which RFC 9110 requires with 405
        return response
    return json_answer({"message": f"not found: {SERVES}"}, status)


def _failed(error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        _logger.info("Client disconnected before its request was complete")
        return json_answer({"message": "the request ended early"}, 400)
    return failure(error)
