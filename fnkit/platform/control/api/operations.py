"""The operations of the Functions API: the 32 of the API document, and three older ones that clients still call.

Each operation decodes its body, makes one call to the control plane and returns the value to encode. The plugin of
the Serverless Framework depends on the older operations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from fnkit.contract.requests import (
    CreateCron,
    CreateDomain,
    CreateFunction,
    CreateNamespace,
    CreateToken,
    CreateTrigger,
    UpdateCron,
    UpdateFunction,
    UpdateNamespace,
    UpdateTrigger,
)
from fnkit.platform.control.api.http import ApiRequest
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.resources.function_settings import list_runtimes

__all__ = ["LEGACY_OPERATIONS", "OPERATIONS", "Operation"]

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


async def _create_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.namespaces.create(request.region, await request.body(CreateNamespace))


async def _get_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.namespaces.get(request.region, request.id)


async def _list_namespaces(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.namespaces.list(request.region, request.query)


async def _update_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.namespaces.update(request.region, request.id, await request.body(UpdateNamespace))


async def _delete_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.namespaces.delete(request.region, request.id)


async def _create_function(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.functions.create(request.region, await request.body(CreateFunction))


async def _get_function(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.functions.get(request.region, request.id)


async def _list_functions(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.functions.list(request.region, request.query)


async def _update_function(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.functions.update(request.region, request.id, await request.body(UpdateFunction))


async def _delete_function(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.functions.delete(request.region, request.id)


async def _deploy_function(plane: ControlPlane, request: ApiRequest) -> object:
    await request.body(dict[str, object])  # no fields, but anything other than an object is an error
    return plane.functions.deploy(request.region, request.id)


async def _get_upload_url(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.uploads.upload_url(request.region, request.id, request.query, request.base_url)


async def _get_download_url(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.uploads.download_url(request.region, request.id, request.base_url)


async def _list_runtimes(plane: ControlPlane, _request: ApiRequest) -> object:
    return list_runtimes(plane.context.runtimes)


async def _create_cron(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.crons.create(request.region, await request.body(CreateCron))


async def _get_cron(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.crons.get(request.region, request.id)


async def _list_crons(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.crons.list(request.region, request.query)


async def _update_cron(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.crons.update(request.region, request.id, await request.body(UpdateCron))


async def _delete_cron(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.crons.delete(request.region, request.id)


async def _create_domain(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.domains.create(request.region, await request.body(CreateDomain))


async def _get_domain(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.domains.get(request.region, request.id)


async def _list_domains(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.domains.list(request.region, request.query)


async def _delete_domain(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.domains.delete(request.region, request.id)


async def _create_token(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.tokens.create(request.region, await request.body(CreateToken))


async def _get_token(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.tokens.get(request.region, request.id)


async def _list_tokens(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.tokens.list(request.region, request.query)


async def _delete_token(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.tokens.delete(request.region, request.id)


async def _create_trigger(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.triggers.create(request.region, await request.body(CreateTrigger))


async def _get_trigger(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.triggers.get(request.region, request.id)


async def _list_triggers(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.triggers.list(request.region, request.query)


async def _update_trigger(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.triggers.update(request.region, request.id, await request.body(UpdateTrigger))


async def _delete_trigger(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.triggers.delete(request.region, request.id)


OPERATIONS: Final = (
    Operation("ListNamespaces", "GET", "/namespaces", _list_namespaces),
    Operation("CreateNamespace", "POST", "/namespaces", _create_namespace),
    Operation("GetNamespace", "GET", "/namespaces/{id}", _get_namespace),
    Operation("UpdateNamespace", "PATCH", "/namespaces/{id}", _update_namespace),
    Operation("DeleteNamespace", "DELETE", "/namespaces/{id}", _delete_namespace),
    Operation("ListFunctions", "GET", "/functions", _list_functions),
    Operation("CreateFunction", "POST", "/functions", _create_function),
    Operation("GetFunction", "GET", "/functions/{id}", _get_function),
    Operation("UpdateFunction", "PATCH", "/functions/{id}", _update_function),
    Operation("DeleteFunction", "DELETE", "/functions/{id}", _delete_function),
    Operation("DeployFunction", "POST", "/functions/{id}/deploy", _deploy_function),
    Operation("GetFunctionUploadURL", "GET", "/functions/{id}/upload-url", _get_upload_url, requires_write=True),
    Operation("GetFunctionDownloadURL", "GET", "/functions/{id}/download-url", _get_download_url),
    Operation("ListFunctionRuntimes", "GET", "/runtimes", _list_runtimes),
    Operation("ListCrons", "GET", "/crons", _list_crons),
    Operation("CreateCron", "POST", "/crons", _create_cron),
    Operation("GetCron", "GET", "/crons/{id}", _get_cron),
    Operation("UpdateCron", "PATCH", "/crons/{id}", _update_cron),
    Operation("DeleteCron", "DELETE", "/crons/{id}", _delete_cron),
    Operation("ListDomains", "GET", "/domains", _list_domains),
    Operation("CreateDomain", "POST", "/domains", _create_domain),
    Operation("GetDomain", "GET", "/domains/{id}", _get_domain),
    Operation("DeleteDomain", "DELETE", "/domains/{id}", _delete_domain),
    Operation("ListTokens", "GET", "/tokens", _list_tokens),
    Operation("CreateToken", "POST", "/tokens", _create_token),
    Operation("GetToken", "GET", "/tokens/{id}", _get_token),
    Operation("DeleteToken", "DELETE", "/tokens/{id}", _delete_token),
    Operation("ListTriggers", "GET", "/triggers", _list_triggers),
    Operation("CreateTrigger", "POST", "/triggers", _create_trigger),
    Operation("GetTrigger", "GET", "/triggers/{id}", _get_trigger),
    Operation("UpdateTrigger", "PATCH", "/triggers/{id}", _update_trigger),
    Operation("DeleteTrigger", "DELETE", "/triggers/{id}", _delete_trigger),
)
"""The 32 operations of the API document."""


async def _list_functions_of_namespace(plane: ControlPlane, request: ApiRequest) -> object:
    return plane.namespaces.list_functions(request.region, request.id, request.query)


async def _list_function_logs(plane: ControlPlane, request: ApiRequest) -> object:
    return await plane.functions.logs(request.region, request.id)


async def _issue_token(plane: ControlPlane, request: ApiRequest) -> object:
    """Create a token like CreateToken does: it is listed and can be deleted.

    ``expires_at`` is an older name of the parameter ``expiration_date``.
    """
    query = request.query
    expires_at = query.get("expiration_date") or query.get("expires_at")
    body = CreateToken(
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
