"""The ASGI application of the control plane: routing, authentication, error handling, metrics, request log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

import msgspec
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
from fnkit.platform.control.api.registry import REGISTRY_HANDLERS, handle
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.counters import ControlCounters
from fnkit.platform.control.errors import ControlError, disk_full, unauthenticated
from fnkit.platform.control.resources.access import AccessScope, Principal, resource_name
from fnkit.platform.control.resources.kinds import KINDS
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.request_log import API_LOG, LoggedRequest
from fnkit.platform.rotating_log import RotatingLogFile

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

SERVED_PATHS: Final = "this host serves the Functions API under /functions/v1beta1/regions/{fr-par,nl-ams,pl-waw}"
_API_PREFIX: Final = "/functions/v1beta1/regions/{region}"
_OWN_PREFIX: Final = "/fnkit/v1/regions/{region}"
_OPERATION_NAMES: Final = {operation.name for operation in (*OPERATIONS, *LEGACY_OPERATIONS)}
_OWN_OPERATIONS: Final = (*platform_routes.CODE_OPERATIONS, *platform_routes.DELIVERY_OPERATIONS)
_RESOURCES: Final = {
    **{
        operation.name: KINDS[operation.kind].name
        for operation in (*OPERATIONS, *LEGACY_OPERATIONS, *_OWN_OPERATIONS)
        if operation.kind in KINDS
    },
    **dict.fromkeys(("UploadArchive", "DownloadArchive"), "function"),
    **dict.fromkeys(("CreateApiKey", "ListApiKeys", "DeleteApiKey"), "api_key"),
}
"""Operation → kind of resource, for the request log."""
_MAX_LOGGED_ID: Final = 64
_FLUSH_SECONDS: Final = 0.1


class RequestLog:
    """Appends the requests of each tenth of a second together.

    Args:
        file: The file.
    """

    def __init__(self, file: RotatingLogFile) -> None:
        self._file = file
        self._lines = bytearray()
        self._encoder = msgspec.json.Encoder()
        self._flushing: asyncio.TimerHandle | None = None

    def write(self, request: LoggedRequest) -> None:
        """Append a line soon."""
        self._lines += self._encoder.encode(request) + b"\n"
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Append all lines now."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, bytearray()
        self._file.write(bytes(lines))


def create_application(plane: ControlPlane) -> Starlette:
    """Return the ASGI application that serves a control plane.

    Its ``state.request_log`` has the lines of the last tenth of a second, which the caller flushes at the end.

    Args:
        plane: The control plane that handles the requests; the caller opens and closes it.
    """
    log = RequestLog(RotatingLogFile(plane.context.layout.logs_dir / "platform" / f"{API_LOG}.log"))
    routes: list[BaseRoute] = [
        *(_operation_route(plane, _API_PREFIX, operation) for operation in (*OPERATIONS, *LEGACY_OPERATIONS)),
        *(_operation_route(plane, _OWN_PREFIX, one) for one in _OWN_OPERATIONS),
        *_platform_routes(plane),
        *loki.loki_routes(plane),
        *_registry_routes(plane),
    ]
    counters = plane.context.counters
    routes = [_counted(route, counters, log) if isinstance(route, Route) else route for route in routes]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_found})
    # Paths match exactly: without this, starlette redirects a path with a trailing slash (307) instead of a 404.
    app.router.redirect_slashes = False
    app.state.request_log = log
    return app


def _platform_routes(plane: ControlPlane) -> list[Route]:
    """Return the routes of the platform's own endpoints, named as the request log shows them."""
    own = platform_routes
    authenticated = {
        "GetPlatform": ("GET", PLATFORM_PATH, own.get_platform),
        "AdvanceClock": ("POST", own.CLOCK_PATH, own.advance_clock),
        "CreateApiKey": ("POST", API_KEYS_PATH, own.create_key),
        "ListApiKeys": ("GET", API_KEYS_PATH, own.list_keys),
        "DeleteApiKey": ("DELETE", own.API_KEY_PATH, own.delete_key),
    }
    public = {
        "GetHealth": ("GET", own.HEALTH_PATH, own.get_health),
        "GetMetrics": ("GET", metrics.SCRAPE_PATH, metrics.get_metrics),
        "GetMetadata": ("GET", own.METADATA_PATH, own.get_metadata),
        "GetOpenAPI": ("GET", document.OPENAPI_PATH, document.get_openapi),
        "UploadArchive": ("PUT", own.ARCHIVE_PATH, own.upload_archive),
        "DownloadArchive": ("GET", own.ARCHIVE_PATH, own.download_archive),
    }
    return [
        *(
            Route(path, _authenticated(plane, handler), methods=[method], name=name)
            for name, (method, path, handler) in authenticated.items()
        ),
        *(
            Route(path, _public(plane, handler), methods=[method], name=name)
            for name, (method, path, handler) in public.items()
        ),
    ]


def _registry_routes(plane: ControlPlane) -> list[Route]:
    return [
        Route(path, _public(plane, partial(handle, handler)), methods=list(methods), name=name)
        for name, methods, path, handler in REGISTRY_HANDLERS
    ]


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


def _counted(route: Route, counters: ControlCounters, log: RequestLog) -> Route:
    """Return the route with its requests logged, and counted by operation, or by the path of other routes."""
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
            seconds = time.monotonic() - started_at
            counters.count_request(operation, status, seconds)
            log.write(_logged_request(route.name, request, status, seconds))
        return response

    return Route(route.path, counted, methods=sorted(route.methods or ()), name=route.name)


def _logged_request(operation: str, request: Request, status: int, seconds: float) -> LoggedRequest:
    caller = getattr(request.state, "caller", None)
    path, created_id = request.path_params, getattr(request.state, "created_id", None)
    record_id = path.get("id") or path.get("access_key") or created_id
    return LoggedRequest(
        at=format_microseconds(time.time_ns()),
        operation=operation,
        resource=_RESOURCES.get(operation),
        id=None if record_id is None else str(record_id)[:_MAX_LOGGED_ID],
        access_key=caller.access_key if isinstance(caller, Principal) else None,
        status=status,
        duration_ms=round(seconds * 1000, 3),
    )


def _authenticated(plane: ControlPlane, handler: platform_routes.RouteHandler) -> Endpoint:
    """Require a valid API key; handlers check what the key may do."""

    async def authenticated(_plane: ControlPlane, request: Request) -> Response:
        # Starlette decodes header values as Latin-1, so this restores the bytes that the client sent.
        secret = request.headers.get("x-auth-token", "").encode("latin-1", "replace")
        if (caller := plane.api_keys.authenticate(secret)) is None:
            raise unauthenticated()
        request.state.caller = caller
        result = await handler(plane, request)
        request.state.created_id = getattr(result, "id", None) or getattr(result, "access_key", None)
        return json_response(result)

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
