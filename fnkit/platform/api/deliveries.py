"""``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…``: what fired, and firing again.

The rights are those of the cron or trigger itself: what a key does not see is not there, and one that may only read
fires nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request

from fnkit.contract.deliveries import ReplayRequest
from fnkit.contract.limits import REGIONS
from fnkit.platform.api.call import Call, caller_of
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.refusals import Refusal
from fnkit.platform.control.visibility import Visibility, resource_name

__all__ = ["ROUTES"]

Work: TypeAlias = Callable[[ControlPlane, Request], Awaitable[object]]
_KINDS: Final = ("crons", "triggers")
_PREFIX: Final = "/fnkit/v1/regions/{region}"


async def _page(plane: ControlPlane, request: Request) -> object:
    call = _call(plane, request)
    return plane.history.page(call.region, call.kind, call.id, call.query)


async def _one(plane: ControlPlane, request: Request) -> object:
    call = _call(plane, request)
    return plane.history.one(call.region, call.kind, call.id, str(request.path_params["delivery"]).lower())


async def _replay(plane: ControlPlane, request: Request) -> object:
    call = _call(plane, request, writes=True)
    return plane.history.replay(call.region, call.kind, call.id, await call.body(ReplayRequest))


async def _fire(plane: ControlPlane, request: Request) -> object:
    call = _call(plane, request, writes=True)
    return plane.history.fire(call.region, call.id)


def _call(plane: ControlPlane, request: Request, *, writes: bool = False) -> Call:
    region = str(request.path_params["region"])
    if region not in REGIONS:
        raise Refusal(404, f"unknown region {region[:64]!r}")
    caller, kind = caller_of(request), request.url.path.split("/")[5]
    if writes:
        caller.require_write(resource_name(kind))
    return Call(request, kind, Visibility(plane.context.store, caller))


ROUTES: Final[tuple[tuple[str, str, Work], ...]] = (
    *(("GET", f"{_PREFIX}/{kind}/{{id}}/deliveries", _page) for kind in _KINDS),
    *(("GET", f"{_PREFIX}/{kind}/{{id}}/deliveries/{{delivery}}", _one) for kind in _KINDS),
    *(("POST", f"{_PREFIX}/{kind}/{{id}}/replay", _replay) for kind in _KINDS),
    ("GET", f"{_PREFIX}/crons/{{id}}/history", _page),
    ("POST", f"{_PREFIX}/crons/{{id}}/fire", _fire),
)
"""Method, path and work of each. ``history`` is the older name of a cron's deliveries."""
