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
from fnkit.platform.api.call import ApiRequest, request_principal
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.refusals import ControlError
from fnkit.platform.control.visibility import AccessScope, resource_name

__all__ = ["DELIVERY_ROUTES"]

RouteHandler: TypeAlias = Callable[[ControlPlane, Request], Awaitable[object]]
_EVENT_SOURCE_KINDS: Final = ("crons", "triggers")
_REGION_PREFIX: Final = "/fnkit/v1/regions/{region}"


async def _list_deliveries(plane: ControlPlane, request: Request) -> object:
    api_request = _delivery_request(plane, request)
    return plane.history.page(api_request.region, api_request.kind, api_request.id, api_request.query)


async def _get_delivery(plane: ControlPlane, request: Request) -> object:
    api_request = _delivery_request(plane, request)
    return plane.history.get(
        api_request.region, api_request.kind, api_request.id, str(request.path_params["delivery"]).lower()
    )


async def _replay_deliveries(plane: ControlPlane, request: Request) -> object:
    api_request = _delivery_request(plane, request, is_write=True)
    return plane.history.replay(
        api_request.region, api_request.kind, api_request.id, await api_request.body(ReplayRequest)
    )


async def _fire_cron(plane: ControlPlane, request: Request) -> object:
    api_request = _delivery_request(plane, request, is_write=True)
    return plane.history.fire(api_request.region, api_request.id)


def _delivery_request(plane: ControlPlane, request: Request, *, is_write: bool = False) -> ApiRequest:
    region = str(request.path_params["region"])
    if region not in REGIONS:
        raise ControlError(404, f"unknown region {region[:64]!r}")
    caller, kind = request_principal(request), request.url.path.split("/")[5]
    if is_write:
        caller.require_write(resource_name(kind))
    return ApiRequest(request, kind, AccessScope(plane.context.store, caller))


DELIVERY_ROUTES: Final[tuple[tuple[str, str, RouteHandler], ...]] = (
    *(("GET", f"{_REGION_PREFIX}/{kind}/{{id}}/deliveries", _list_deliveries) for kind in _EVENT_SOURCE_KINDS),
    *(
        ("GET", f"{_REGION_PREFIX}/{kind}/{{id}}/deliveries/{{delivery}}", _get_delivery)
        for kind in _EVENT_SOURCE_KINDS
    ),
    *(("POST", f"{_REGION_PREFIX}/{kind}/{{id}}/replay", _replay_deliveries) for kind in _EVENT_SOURCE_KINDS),
    ("GET", f"{_REGION_PREFIX}/crons/{{id}}/history", _list_deliveries),
    ("POST", f"{_REGION_PREFIX}/crons/{{id}}/fire", _fire_cron),
)
"""Method, path and handler of each route. ``history`` is an older name of a cron's deliveries."""
