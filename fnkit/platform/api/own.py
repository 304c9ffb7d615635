"""What our platform serves beside the Functions API: health, itself, its clock, which cloud."""

from __future__ import annotations

import asyncio
import math
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fnkit.contract.platform import NATS_ACCOUNT, PlatformInfo
from fnkit.platform.api.answers import json_answer
from fnkit.platform.api.call import caller_of, read_body
from fnkit.platform.control.doors import ca_certificate, gateway_tls_url, gateway_url
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.refusals import invalid

__all__ = [
    "CLOCK_PATH",
    "HEALTH_PATH",
    "METADATA_PATH",
    "clock",
    "health",
    "metadata",
    "platform",
]

HEALTH_PATH: Final = "/healthz"
METADATA_PATH: Final = "/metadata"
CLOCK_PATH: Final = "/fnkit/v1/clock"
_MAX_ADVANCE: Final = 10 * 366 * 24 * 3600


class _Advance(msgspec.Struct, frozen=True, kw_only=True):
    """POST /fnkit/v1/clock: how many seconds of platform time to let pass."""

    advance: float


async def health(plane: ControlPlane, _request: Request) -> Response:
    """200 once the data plane is there with every ``min_scale`` instance up, else 503 with what is missing."""
    link = plane.link
    data_plane = "ready" if link.healthy else "starting" if link.connected else "absent"
    body = {"status": "ok" if link.healthy else "starting", "control": "ready", "data_plane": data_plane}
    if not link.healthy:
        body["message"] = "the data plane is not ready yet"
    if link.isolation is not None:
        body["isolation"] = link.isolation
    return json_answer(body, 200 if link.healthy else 503)


async def metadata(_plane: ControlPlane, _request: Request) -> Response:
    """Return what the Go SDK builds resource names (``srn://``) with, as its own tests have it of the real API.

    It asks after every object it is shown, again and again until it is told.
    """
    return json_answer({"platform": "external", "partition": "scw", "domain": "scw.eu"}, 200)


async def platform(plane: ControlPlane, request: Request) -> PlatformInfo:
    """Return what a deploy asks of a platform, once (decision 4)."""
    settings = plane.context.settings
    return PlatformInfo(
        version=plane.version,
        gateway_url=gateway_url(settings),
        gateway_tls_url=gateway_tls_url(settings),
        ca_certificate=await asyncio.to_thread(ca_certificate, settings),
        nats_account=NATS_ACCOUNT,
        now=plane.context.clock.now(),
        triggers=plane.listening() if caller_of(request).project_id is None else [],
        targets=await asyncio.to_thread(plane.toolchains.targets),
    )


async def clock(plane: ControlPlane, request: Request) -> dict[str, float]:
    """Move the clock; answers when everything that became due has started (decision 21)."""
    caller_of(request).require_whole("write", "platform_clock")
    wanted = await read_body(request, _Advance)
    if not (math.isfinite(wanted.advance) and 0 <= wanted.advance <= _MAX_ADVANCE):
        raise invalid("advance", f"must be between 0 and {_MAX_ADVANCE} seconds")
    return {"now": await plane.advance(wanted.advance)}
