"""fnkit's own routes beside the Functions API: health, platform information, clock, keys, archives, deliveries.

Signed URLs authorize uploads and downloads of archives; health and metadata are public; everything else needs an
API key. Only the root key may manage API keys. A delivery has the permissions of its cron or trigger.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from fnkit.contract.deliveries import ReplayRequest, SendMessage
from fnkit.contract.platform import (
    API_KEYS_PATH,
    DEFAULT_NATS_ACCOUNT,
    MAX_EDITED_BYTES,
    ApiKey,
    ApiKeyList,
    CreateApiKey,
    EditCode,
    FailedImport,
    PlatformInfo,
)
from fnkit.platform.control.addresses import ca_certificate, gateway_tls_url, gateway_url
from fnkit.platform.control.api.http import (
    ApiRequest,
    json_response,
    read_body,
    request_principal,
    response_headers,
)
from fnkit.platform.control.api.operations import Operation
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.errors import invalid

RouteHandler: TypeAlias = Callable[[ControlPlane, Request], Awaitable[object]]

ARCHIVE_PATH: Final = "/uploads/function-{id}.zip"
API_KEY_PATH: Final = API_KEYS_PATH + "/{access_key}"
HEALTH_PATH: Final = "/healthz"
METADATA_PATH: Final = "/metadata"
CLOCK_PATH: Final = "/fnkit/v1/clock"

_API_KEYS: Final = "api_keys"
_MAX_EDIT_BYTES: Final = 2 * MAX_EDITED_BYTES  # as JSON, which has a third more than the bytes, and names
_MAX_ADVANCE: Final = 10 * 366 * 24 * 3600  # seconds


async def upload_archive(plane: ControlPlane, request: Request) -> Response:
    """Store an uploaded archive. Like the real API, return 200, an empty body and an ``Etag``; ignore headers."""
    blob = await plane.uploads.receive(request.path_params["id"].lower(), request.query_params, request.stream())
    return Response(None, 200, {**response_headers(), "Etag": f'"{blob.md5}"'})


async def download_archive(plane: ControlPlane, request: Request) -> Response:
    """Return the last complete upload."""
    file = plane.uploads.archive_path(request.path_params["id"].lower(), request.query_params)
    return FileResponse(file, headers=response_headers(), media_type="application/octet-stream")


async def _list_deliveries(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.history.page(request.region, request.kind, request.id, request.query)


async def _get_delivery(plane: ControlPlane, request: ApiRequest) -> object:
    delivery_id = str(request.http_request.path_params["delivery"]).lower()
    return plane.history.get(request.region, request.kind, request.id, delivery_id)


async def _replay_deliveries(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.history.replay(request.region, request.kind, request.id, await request.body(ReplayRequest))


async def _send_message(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.queue_triggers.send(request.region, request.id, await request.body(SendMessage))


async def _fire_cron(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.history.fire(request.region, request.id)


async def _edit_code(plane: ControlPlane, request: ApiRequest) -> object:
    edit = await read_body(request.http_request, EditCode, max_bytes=_MAX_EDIT_BYTES)
    return await plane.functions.edit_code(request.region, request.id, edit)


CODE_OPERATIONS: Final = (Operation("EditFunctionCode", "PUT", "/functions/{id}/code", _edit_code),)
"""The operation on the code of functions, besides uploads of archives."""

DELIVERY_OPERATIONS: Final = (
    Operation("ListCronDeliveries", "GET", "/crons/{id}/deliveries", _list_deliveries),
    Operation("GetCronDelivery", "GET", "/crons/{id}/deliveries/{delivery}", _get_delivery),
    Operation("ReplayCronDeliveries", "POST", "/crons/{id}/replay", _replay_deliveries),
    Operation("ListCronHistory", "GET", "/crons/{id}/history", _list_deliveries),
    Operation("RunCron", "POST", "/crons/{id}/fire", _fire_cron),
    Operation("ListTriggerDeliveries", "GET", "/triggers/{id}/deliveries", _list_deliveries),
    Operation("GetTriggerDelivery", "GET", "/triggers/{id}/deliveries/{delivery}", _get_delivery),
    Operation("ReplayTriggerDeliveries", "POST", "/triggers/{id}/replay", _replay_deliveries),
    Operation("SendTriggerMessage", "POST", "/triggers/{id}/send", _send_message),
)
"""The operations on deliveries. ``history`` is an older name of a cron's deliveries."""


async def create_key(plane: ControlPlane, request: Request) -> ApiKey:
    """Create an API key; its secret is returned only by this call."""
    request_principal(request).require_root("write", _API_KEYS)
    return await plane.api_keys.create(await read_body(request, CreateApiKey))


async def list_keys(plane: ControlPlane, request: Request) -> ApiKeyList:
    """List the API keys, without their secrets."""
    request_principal(request).require_root("read", _API_KEYS)
    return plane.api_keys.list()


async def delete_key(plane: ControlPlane, request: Request) -> ApiKey:
    """Delete an API key."""
    request_principal(request).require_root("write", _API_KEYS)
    return await plane.api_keys.delete(str(request.path_params["access_key"]))


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
    principal = request_principal(request)
    project_id = principal.project_id
    return PlatformInfo(
        version=plane.version,
        gateway_url=gateway_url(settings),
        gateway_tls_url=gateway_tls_url(settings),
        ca_certificate=await asyncio.to_thread(ca_certificate, settings),
        nats_account=DEFAULT_NATS_ACCOUNT,
        private_networks=settings.engine == "kubernetes",
        now=plane.context.clock.now(),
        triggers=plane.queue_triggers.statuses() if project_id is None else [],
        failed_imports=_failed_imports(plane, project_id),
        targets=await asyncio.to_thread(plane.toolchains.targets),
        broker_variables=settings.queues.variables() if principal.is_root else {},
    )


def _failed_imports(plane: ControlPlane, project_id: str | None) -> list[FailedImport]:
    records = plane.context.store.functions.all(failed_import=1)
    return [
        FailedImport(function_id=record.id, error=record.serving.import_error)
        for record in records
        if record.serving is not None and project_id in (None, record.project_id)
    ]


async def advance_clock(plane: ControlPlane, request: Request) -> dict[str, float]:
    """Advance the clock, and return after every scheduled run that became due has started."""
    request_principal(request).require_unscoped("write", "platform_clock")
    body = await read_body(request, _AdvanceClock)
    if not (math.isfinite(body.advance) and 0 <= body.advance <= _MAX_ADVANCE):
        raise invalid("advance", f"must be between 0 and {_MAX_ADVANCE} seconds")
    return {"now": await plane.advance(body.advance)}
