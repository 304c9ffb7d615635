"""The operations of the Functions API: the 32 of the API document, and three older ones that clients still call.

Each operation decodes its body, makes one call to the control plane and returns the value to encode. The plugin of
the Serverless Framework depends on the older operations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, TypeVar

import msgspec

from fnkit.contract import requests as api_requests
from fnkit.platform.control.api.http import ApiRequest, wait_for_disconnect
from fnkit.platform.control.context import wait_for_first
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.resources import kinds
from fnkit.platform.control.resources.function_settings import list_runtimes
from fnkit.platform.control.resources.resource import Resource
from fnkit.platform.model.records import ResourceRecord

CreateBody = TypeVar("CreateBody")
UpdateBody = TypeVar("UpdateBody")
Record = TypeVar("Record", bound=ResourceRecord)
View = TypeVar("View", bound=msgspec.Struct)
OperationHandler: TypeAlias = Callable[[ControlPlane, ApiRequest], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API.

    Attributes:
        name: The ``operationId`` of the API document.
        method: The HTTP method.
        path: The path below ``/regions/{region}``.
        handler: The function that executes the operation.
        requires_write: Whether a GET needs write permission, because it changes something or permits changes.
    """

    name: str
    method: str
    path: str
    handler: OperationHandler
    requires_write: bool = False

    @property
    def kind(self) -> str:
        """The resource kind as the path spells it."""
        return self.path.split("/")[1]

    @property
    def is_write(self) -> bool:
        """Whether a read-only key may not call the operation."""
        return self.requires_write or self.method != "GET"


def _resource_operations(
    kind: kinds.ResourceKind[Record],
    resource: Callable[[ControlPlane], Resource[Record, View, CreateBody, UpdateBody]],
    create_body: type[CreateBody],
    update_body: type[UpdateBody] | None = None,
) -> tuple[Operation, ...]:
    """Return the operations that every kind of resource has: List, Create, Get, Update if there is one, Delete."""

    async def list_page(plane: ControlPlane, request: ApiRequest) -> object:
        return resource(plane).list(request.region, request.query)

    async def create(plane: ControlPlane, request: ApiRequest) -> object:
        return await resource(plane).create(request.region, await request.body(create_body))

    async def get(plane: ControlPlane, request: ApiRequest) -> object:
        found, region = resource(plane), request.region
        if found.is_transient(region, request.id):
            await wait_for_first(
                found.wait_until_settled(region, request.id), wait_for_disconnect(request.http_request)
            )
        return found.get(region, request.id)

    async def update(plane: ControlPlane, request: ApiRequest, body: type[UpdateBody]) -> object:
        return await resource(plane).update(request.region, request.id, await request.body(body))

    async def delete(plane: ControlPlane, request: ApiRequest) -> object:
        return await resource(plane).delete(request.region, request.id)

    path, path_of_one = f"/{kind.plural}", f"/{kind.plural}/{{id}}"
    operations = [
        Operation(f"List{kind.title}s", "GET", path, list_page),
        Operation(f"Create{kind.title}", "POST", path, create),
        Operation(f"Get{kind.title}", "GET", path_of_one, get),
    ]
    if update_body is not None:
        operations.append(Operation(f"Update{kind.title}", "PATCH", path_of_one, partial(update, body=update_body)))
    return (*operations, Operation(f"Delete{kind.title}", "DELETE", path_of_one, delete))


async def _deploy_function(plane: ControlPlane, request: ApiRequest) -> object:
    await request.body(dict[str, object])  # no fields, but anything other than an object is an error
    return plane.functions.deploy(request.region, request.id)


async def _get_upload_url(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.uploads.upload_url(request.region, request.id, request.query, request.base_url)


async def _get_download_url(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.uploads.download_url(request.region, request.id, request.base_url)


async def _list_runtimes(plane: ControlPlane, _request: ApiRequest) -> object:
    return list_runtimes(plane.context.runtimes)


OPERATIONS: Final = (
    *_resource_operations(
        kinds.NAMESPACES, lambda plane: plane.namespaces, api_requests.CreateNamespace, api_requests.UpdateNamespace
    ),
    *_resource_operations(
        kinds.FUNCTIONS, lambda plane: plane.functions, api_requests.CreateFunction, api_requests.UpdateFunction
    ),
    Operation("DeployFunction", "POST", "/functions/{id}/deploy", _deploy_function),
    Operation("GetFunctionUploadURL", "GET", "/functions/{id}/upload-url", _get_upload_url, requires_write=True),
    Operation("GetFunctionDownloadURL", "GET", "/functions/{id}/download-url", _get_download_url),
    Operation("ListFunctionRuntimes", "GET", "/runtimes", _list_runtimes),
    *_resource_operations(kinds.CRONS, lambda plane: plane.crons, api_requests.CreateCron, api_requests.UpdateCron),
    *_resource_operations(kinds.DOMAINS, lambda plane: plane.domains, api_requests.CreateDomain),
    *_resource_operations(kinds.TOKENS, lambda plane: plane.tokens, api_requests.CreateToken),
    *_resource_operations(
        kinds.TRIGGERS, lambda plane: plane.triggers, api_requests.CreateTrigger, api_requests.UpdateTrigger
    ),
)
"""The 32 operations of the API document."""


async def _list_functions_of_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.functions.list_in_namespace(request.region, request.id, request.query)


async def _list_function_logs(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.functions.logs(request.region, request.id)


async def _issue_token(plane: ControlPlane, request: ApiRequest) -> object:
    """Create a token like CreateToken does: it is listed and can be deleted.

    ``expires_at`` is an older name of the parameter ``expiration_date``.
    """
    query = request.query
    expires_at = query.get("expiration_date") or query.get("expires_at")
    body = api_requests.CreateToken(
        function_id=query.get("function_id"),
        namespace_id=query.get("namespace_id"),
        # Clients send the "+" of a UTC offset unescaped, and query decoding turns it into a space.
        expires_at=expires_at.replace(" ", "+") if expires_at else None,
    )
    token = await plane.tokens.create(request.region, request.scope.narrow_body(body))
    return {"token": token.token}


LEGACY_OPERATIONS: Final = (
    Operation("ListFunctionsOfNamespace", "GET", "/namespaces/{id}/functions", _list_functions_of_namespace),
    Operation("ListFunctionLogs", "GET", "/functions/{id}/logs", _list_function_logs),
    Operation("IssueJWT", "GET", "/issue-jwt", _issue_token, requires_write=True),
)
