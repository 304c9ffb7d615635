"""The Functions API's 32 operations and where they stand. Each is decode → one control call → encode."""

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
from fnkit.platform.api.call import Call
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.control.runtimes import list_runtimes

__all__ = ["OPERATIONS", "Operation"]

Handler: TypeAlias = Callable[[ControlPlane, Call], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its id in the API document, and how it is reached below ``/regions/{region}``.

    changes: whether it changes something although it is a GET, or lets its caller do so.
    """

    name: str
    method: str
    path: str
    handler: Handler
    changes: bool = False

    @property
    def kind(self) -> str:
        """The kind of resource, as the path spells it."""
        return self.path.split("/")[1]

    @property
    def writes(self) -> bool:
        """Whether a key that may only read is refused."""
        return self.changes or self.method != "GET"


async def _create_namespace(plane: ControlPlane, call: Call) -> object:
    return await plane.namespaces.create(call.region, await call.body(CreateNamespace))


async def _get_namespace(plane: ControlPlane, call: Call) -> object:
    return plane.namespaces.get(call.region, call.id)


async def _list_namespaces(plane: ControlPlane, call: Call) -> object:
    return plane.namespaces.list(call.region, call.query)


async def _update_namespace(plane: ControlPlane, call: Call) -> object:
    return await plane.namespaces.update(call.region, call.id, await call.body(UpdateNamespace))


async def _delete_namespace(plane: ControlPlane, call: Call) -> object:
    return await plane.namespaces.delete(call.region, call.id)


async def _create_function(plane: ControlPlane, call: Call) -> object:
    return await plane.functions.create(call.region, await call.body(CreateFunction))


async def _get_function(plane: ControlPlane, call: Call) -> object:
    return plane.functions.get(call.region, call.id)


async def _list_functions(plane: ControlPlane, call: Call) -> object:
    return plane.functions.list(call.region, call.query)


async def _update_function(plane: ControlPlane, call: Call) -> object:
    return await plane.functions.update(call.region, call.id, await call.body(UpdateFunction))


async def _delete_function(plane: ControlPlane, call: Call) -> object:
    return await plane.functions.delete(call.region, call.id)


async def _deploy_function(plane: ControlPlane, call: Call) -> object:
    await call.body(dict[str, object])  # it has no fields, but what is no object is refused
    return plane.functions.deploy(call.region, call.id)


async def _upload_url(plane: ControlPlane, call: Call) -> object:
    return plane.uploads.upload_url(call.region, call.id, call.query, call.base)


async def _download_url(plane: ControlPlane, call: Call) -> object:
    return plane.uploads.download_url(call.region, call.id, call.base)


async def _list_runtimes(plane: ControlPlane, _call: Call) -> object:
    return list_runtimes(plane.context.runtimes)


async def _create_cron(plane: ControlPlane, call: Call) -> object:
    return plane.crons.create(call.region, await call.body(CreateCron))


async def _get_cron(plane: ControlPlane, call: Call) -> object:
    return plane.crons.get(call.region, call.id)


async def _list_crons(plane: ControlPlane, call: Call) -> object:
    return plane.crons.list(call.region, call.query)


async def _update_cron(plane: ControlPlane, call: Call) -> object:
    return plane.crons.update(call.region, call.id, await call.body(UpdateCron))


async def _delete_cron(plane: ControlPlane, call: Call) -> object:
    return plane.crons.delete(call.region, call.id)


async def _create_domain(plane: ControlPlane, call: Call) -> object:
    return plane.domains.create(call.region, await call.body(CreateDomain))


async def _get_domain(plane: ControlPlane, call: Call) -> object:
    return plane.domains.get(call.region, call.id)


async def _list_domains(plane: ControlPlane, call: Call) -> object:
    return plane.domains.list(call.region, call.query)


async def _delete_domain(plane: ControlPlane, call: Call) -> object:
    return await plane.domains.delete(call.region, call.id)


async def _create_token(plane: ControlPlane, call: Call) -> object:
    return await plane.tokens.create(call.region, await call.body(CreateToken))


async def _get_token(plane: ControlPlane, call: Call) -> object:
    return plane.tokens.get(call.region, call.id)


async def _list_tokens(plane: ControlPlane, call: Call) -> object:
    return plane.tokens.list(call.region, call.query)


async def _delete_token(plane: ControlPlane, call: Call) -> object:
    return await plane.tokens.delete(call.region, call.id)


async def _create_trigger(plane: ControlPlane, call: Call) -> object:
    return plane.triggers.create(call.region, await call.body(CreateTrigger))


async def _get_trigger(plane: ControlPlane, call: Call) -> object:
    return plane.triggers.get(call.region, call.id)


async def _list_triggers(plane: ControlPlane, call: Call) -> object:
    return plane.triggers.list(call.region, call.query)


async def _update_trigger(plane: ControlPlane, call: Call) -> object:
    return plane.triggers.update(call.region, call.id, await call.body(UpdateTrigger))


async def _delete_trigger(plane: ControlPlane, call: Call) -> object:
    return plane.triggers.delete(call.region, call.id)


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
    Operation("GetFunctionUploadURL", "GET", "/functions/{id}/upload-url", _upload_url, changes=True),
    Operation("GetFunctionDownloadURL", "GET", "/functions/{id}/download-url", _download_url),
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
"""The API document's 32."""
