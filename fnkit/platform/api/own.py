"""fnkit's own routes beside the Functions API: health, platform information, clock, keys, archives, deliveries.

Signed URLs authorize uploads and downloads of archives; health and metadata are public; everything else needs an
API key. Only the root key may manage API keys. A delivery has the permissions of its cron or trigger.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fnkit.contract.platform import DEFAULT_NATS_ACCOUNT, PlatformInfo
from fnkit.platform.api.answers import json_response
from fnkit.platform.api.call import request_principal, read_body
from fnkit.platform.control.doors import ca_certificate, gateway_tls_url, gateway_url
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.refusals import invalid

__all__ = [
    "CLOCK_PATH",
    "HEALTH_PATH",
    "METADATA_PATH",
    "advance_clock",
    "get_health",
    "get_metadata",
    "get_platform",
]

HEALTH_PATH: Final = "/healthz"
METADATA_PATH: Final = "/metadata"
CLOCK_PATH: Final = "/fnkit/v1/clock"
_MAX_ADVANCE: Final = 10 * 366 * 24 * 3600


class _AdvanceClock(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /fnkit/v1/clock``: by how many seconds to advance the platform's clock."""

    advance: float


async def get_health(plane: ControlPlane, _request: Request) -> Response:
    """Return 200 once the data plane is connected and has reached every ``min_scale``, otherwise 503."""
    link = plane.link
    data_plane = "ready" if link.healthy else "starting" if link.connected else "absent"
    body = {"status": "ok" if link.healthy else "starting", "control": "ready", "data_plane": data_plane}
    if not link.healthy:
        body["message"] = "the data plane is not ready yet"
    if link.isolation is not None:
        body["isolation"] = link.isolation
    return json_response(body, 200 if link.healthy else 503)


async def get_metadata(_plane: ControlPlane, _request: Request) -> Response:
    """Return the metadata from which Scaleway's Go SDK builds resource names (``srn://``).

    The values are those of the SDK's own tests. The SDK requests them for every object until a request succeeds.
    """
    return json_response({"platform": "external", "partition": "scw", "domain": "scw.eu"}, 200)


async def get_platform(plane: ControlPlane, request: Request) -> PlatformInfo:
    """Return the platform information that a deploy needs, in a single response."""
    settings = plane.context.settings
    return PlatformInfo(
        version=plane.version,
        gateway_url=gateway_url(settings),
        gateway_tls_url=gateway_tls_url(settings),
        ca_certificate=await asyncio.to_thread(ca_certificate, settings),
        nats_account=DEFAULT_NATS_ACCOUNT,
        now=plane.context.clock.now(),
        triggers=plane.list_trigger_states() if request_principal(request).project_id is None else [],
        targets=await asyncio.to_thread(plane.toolchains.targets),
    )


async def advance_clock(plane: ControlPlane, request: Request) -> dict[str, float]:
    """Advance the clock, and return after every scheduled run that became due has started."""
    request_principal(request).require_unscoped("write", "platform_clock")
    body = await read_body(request, _AdvanceClock)
    if not (math.isfinite(body.advance) and 0 <= body.advance <= _MAX_ADVANCE):
        raise invalid("advance", f"must be between 0 and {_MAX_ADVANCE} seconds")
    return {"now": await plane.advance(body.advance)}
