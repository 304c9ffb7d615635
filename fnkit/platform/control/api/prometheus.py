"""``GET /metrics`` for Prometheus: the metrics of the platform and its functions (``docs/metrics.md``).

It needs an API key, since it names all functions of all projects, unless the platform was started with
``--public-metrics``. Gathering asks the data plane once; rendering runs in a thread.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.errors import unauthenticated
from fnkit.platform.control.metrics import PlatformMetrics, collect

SCRAPE_PATH: Final = "/metrics"
_BEARER_SCHEME: Final = "bearer "


async def get_metrics(plane: ControlPlane, request: Request) -> Response:
    """Return the metrics.

    Raises:
        ControlError: The API key is missing, invalid or of one project, and is needed.
    """
    if not (plane.context.settings.public_metrics and _is_own_host(request, plane.context.settings.host)):
        _require_key(plane, request)
    measurements = await collect(plane.context, plane.link, plane.version)
    accept, encoding = (request.headers.get(name, "") for name in ("accept", "accept-encoding"))
    body, headers = await asyncio.to_thread(_render_lazily, measurements, accept, encoding)
    return Response(body, headers=headers)


def _render_lazily(measurements: PlatformMetrics, accept: str, encoding: str) -> tuple[bytes, dict[str, str]]:
    # prometheus_client takes 45 ms to import, which a platform that is never scraped should not pay.
    from fnkit.platform.control.api.prometheus_metrics import render_exposition

    return render_exposition(measurements, accept, encoding)


def _require_key(plane: ControlPlane, request: Request) -> None:
    secret = request.headers.get("x-auth-token", "")
    authorization = request.headers.get("authorization", "")
    if not secret and authorization.lower().startswith(_BEARER_SCHEME):
        secret = authorization[len(_BEARER_SCHEME) :].strip()
    caller = plane.api_keys.authenticate(secret.encode("latin-1", "replace"))
    if caller is None:
        raise unauthenticated()
    caller.require_unscoped("read", "metrics")


def _is_own_host(request: Request, listening: str) -> bool:
    """Return whether the Host of a request is an address, ``localhost`` or the host that the API listens on.

    The requests of a web page whose name was made to resolve to this machine (DNS rebinding) have its name in Host.
    """
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        return host in {"localhost", listening} or bool(ipaddress.ip_address(host))
    except ValueError:
        return False
