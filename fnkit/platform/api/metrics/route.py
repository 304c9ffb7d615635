"""``GET /metrics``: open on a loopback address, behind a key anywhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fnkit.platform.control.metering import ControlMeter
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.refusals import unauthenticated
from fnkit.platform.control.scraping import Measurements, gather

__all__ = ["PATH", "get", "metered"]

PATH: Final = "/metrics"
_BEARER: Final = "bearer "
_UNNAMED: Final = "endpoint"  # what starlette calls a route that was given no name

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


async def get(plane: ControlPlane, request: Request) -> Response:
    """Answer a scrape.

    Raises:
        Refusal: the platform can be reached from elsewhere and the key is missing, unknown or bound to a project.
    """
    if not _is_loopback(plane.context.settings.host):
        _require_key(plane, request)
    measurements = await gather(plane.context, plane.link, plane.version)
    accept, encoding = (request.headers.get(name, "") for name in ("accept", "accept-encoding"))
    body, headers = await asyncio.to_thread(_render, measurements, accept, encoding)
    return Response(body, headers=headers)


def _render(measurements: Measurements, accept: str, encoding: str) -> tuple[bytes, dict[str, str]]:
    from fnkit.platform.api.metrics.exposition import (
        exposition,
    )  # only who is scraped pays prometheus_client's 45 ms

    return exposition(measurements, accept, encoding)


def _require_key(plane: ControlPlane, request: Request) -> None:
    given = request.headers.get("x-auth-token", "")
    authorization = request.headers.get("authorization", "")
    if not given and authorization.lower().startswith(_BEARER):
        given = authorization[len(_BEARER) :].strip()
    caller = plane.keys.caller(given.encode("latin-1", "replace"))
    if caller is None:
        raise unauthenticated()
    caller.require_whole("read", "metrics")


def _is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches this address. A name counts as what it resolves to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0])).is_loopback for *_, address in found)


def metered(route: BaseRoute, meter: ControlMeter) -> BaseRoute:
    """Return the route with its requests counted; other kinds of routes (sockets, files) as they are."""
    if not isinstance(route, Route):
        return route
    endpoint: Endpoint = route.endpoint
    operation = route.path if route.name == _UNNAMED else route.name

    async def counted(request: Request) -> Response:
        began = time.monotonic()
        status = 500
        try:
            response = await endpoint(request)
            status = response.status_code
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            meter.answered(operation, status, time.monotonic() - began)
        return response

    return Route(route.path, counted, methods=sorted(route.methods or ()), name=route.name)
