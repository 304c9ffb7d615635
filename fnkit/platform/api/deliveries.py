"""Routes of deliveries: ``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…`` lists and replays them.

A delivery has the permissions of its cron or trigger: it does not exist for a key of another project, and a
read-only key can neither replay it nor run the cron.
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
    api_request = _call(plane, request)
    return plane.history.page(api_request.region, api_request.kind, api_request.id, api_request.query)


async def _one(plane: ControlPlane, request: Request) -> object:
    api_request = _call(plane, request)
    return plane.history.one(
        api_request.region, api_request.kind, api_request.id, str(request.path_params["delivery"]).lower()
    )


async def _replay(plane: ControlPlane, request: Request) -> object:
    api_request = _call(plane, request, writes=True)
    return plane.history.replay(
        api_request.region, api_request.kind, api_request.id, await api_request.body(ReplayRequest)
    )


async def _fire(plane: ControlPlane, request: Request) -> object:
    api_request = _call(plane, request, writes=True)
    return plane.history.fire(api_request.region, api_request.id)


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
"""Method, path and handler of each route. ``history`` is an older name of a cron's deliveries."""
