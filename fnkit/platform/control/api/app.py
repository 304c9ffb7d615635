"""The ASGI application of the control plane: routing, authentication, error handling and counting of requests."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fnkit.contract.limits import REGIONS
from fnkit.contract.platform import API_KEYS_PATH, PLATFORM_PATH
from fnkit.platform.control.api import loki, platform_routes
from fnkit.platform.control.api import openapi as document
from fnkit.platform.control.api import prometheus as metrics
from fnkit.platform.control.api.http import ApiRequest, error_response, json_response, request_principal
from fnkit.platform.control.api.operations import LEGACY_OPERATIONS, OPERATIONS, Operation
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.counters import ControlCounters
from fnkit.platform.control.errors import ControlError, disk_full, unauthenticated
from fnkit.platform.control.resources.access import AccessScope, resource_name

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

SERVED_PATHS: Final = "this host serves the Functions API under /functions/v1beta1/regions/{fr-par,nl-ams,pl-waw}"
_API_PREFIX: Final = "/functions/v1beta1/regions/{region}"
_DELIVERIES_PREFIX: Final = "/fnkit/v1/regions/{region}"
_OPERATION_NAMES: Final = {operation.name for operation in (*OPERATIONS, *LEGACY_OPERATIONS)}


def create_application(plane: ControlPlane) -> Starlette:
    """Return the ASGI application that serves a control plane.

    Args:
        plane: The control plane that handles the requests; the caller opens and closes it.
    """
    routes: list[BaseRoute] = [
        *(_operation_route(plane, _API_PREFIX, operation) for operation in (*OPERATIONS, *LEGACY_OPERATIONS)),
        *(_operation_route(plane, _DELIVERIES_PREFIX, one) for one in platform_routes.DELIVERY_OPERATIONS),
        Route(PLATFORM_PATH, _authenticated(plane, platform_routes.get_platform), methods=["GET"]),
        Route(platform_routes.CLOCK_PATH, _authenticated(plane, platform_routes.advance_clock), methods=["POST"]),
        Route(API_KEYS_PATH, _authenticated(plane, platform_routes.create_key), methods=["POST"]),
        Route(API_KEYS_PATH, _authenticated(plane, platform_routes.list_keys), methods=["GET"]),
        Route(platform_routes.API_KEY_PATH, _authenticated(plane, platform_routes.delete_key), methods=["DELETE"]),
        Route(platform_routes.HEALTH_PATH, _public(plane, platform_routes.get_health), methods=["GET"]),
        Route(metrics.SCRAPE_PATH, _public(plane, metrics.get_metrics), methods=["GET"]),
        Route(platform_routes.METADATA_PATH, _public(plane, platform_routes.get_metadata), methods=["GET"]),
        Route(document.OPENAPI_PATH, _public(plane, document.get_openapi), methods=["GET"]),
        Route(platform_routes.ARCHIVE_PATH, _public(plane, platform_routes.upload_archive), methods=["PUT"]),
        Route(platform_routes.ARCHIVE_PATH, _public(plane, platform_routes.download_archive), methods=["GET"]),
        *loki.loki_routes(plane),
    ]
    counters = plane.context.counters
    routes = [_counted(route, counters) if isinstance(route, Route) else route for route in routes]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_found})
    # Paths match exactly: without this, starlette redirects a path with a trailing slash (307) instead of a 404.
    app.router.redirect_slashes = False
    return app


def _operation_route(plane: ControlPlane, prefix: str, operation: Operation) -> Route:
    async def handler(_plane: ControlPlane, request: Request) -> object:
        caller = request_principal(request)
        region = str(request.path_params["region"])
        if region not in REGIONS:
            raise ControlError(404, f"unknown region {region[:64]!r}: {SERVED_PATHS}")
        if operation.is_write:
            caller.require_write(resource_name(operation.kind))
        call = ApiRequest(request, operation.kind, AccessScope(plane.context.store, caller))
        return await operation.handler(plane, call)

    path = prefix + operation.path
    return Route(path, _authenticated(plane, handler), methods=[operation.method], name=operation.name)


def _counted(route: Route, counters: ControlCounters) -> Route:
    """Return the route with its requests counted: by the name of the operation, or by the path of other routes."""
    endpoint: Endpoint = route.endpoint
    operation = route.name if route.name in _OPERATION_NAMES else route.path

    async def counted(request: Request) -> Response:
        started_at = time.monotonic()
        status = 500  # counted for an exception that no handler turned into a response
        try:
            response = await endpoint(request)
            status = response.status_code
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            counters.count_request(operation, status, time.monotonic() - started_at)
        return response

    return Route(route.path, counted, methods=sorted(route.methods or ()), name=route.name)


def _authenticated(plane: ControlPlane, handler: platform_routes.RouteHandler) -> Endpoint:
    """Require a valid API key; handlers check what the key may do."""

    async def authenticated(_plane: ControlPlane, request: Request) -> Response:
        # Starlette decodes header values as Latin-1, so this restores the bytes that the client sent.
        secret = request.headers.get("x-auth-token", "").encode("latin-1", "replace")
        if (caller := plane.api_keys.authenticate(secret)) is None:
            raise unauthenticated()
        request.state.caller = caller
        return json_response(await handler(plane, request))

    return _public(plane, authenticated)


def _public(plane: ControlPlane, handler: Callable[[ControlPlane, Request], Awaitable[Response]]) -> Endpoint:
    """Serve without an API key."""

    async def endpoint(request: Request) -> Response:
        try:
            if plane.is_read_only and request.method not in {"GET", "HEAD"}:
                return error_response(disk_full())
            return await handler(plane, request)
        except Exception as error:  # noqa: BLE001  every exception becomes a response
            return error_response(error)

    return endpoint


async def _not_found(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:  # noqa: PLR2004  Method Not Allowed
        response = json_response({"message": "this method is not allowed here"}, status)
        response.headers.update(getattr(error, "headers", None) or {})  # Allow, which RFC 9110 requires with 405
        return response
    return json_response({"message": f"not found: {SERVED_PATHS}"}, status)
