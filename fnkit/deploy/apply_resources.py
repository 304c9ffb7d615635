"""Applies the changes of the namespace, and of a function's crons, domains and triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never, TypeAlias, TypeVar, assert_never

from msgspec.structs import asdict

from fnkit.client.api import FunctionsApi, ResourceClient
from fnkit.contract import requests as api_requests
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Cron, Domain, Function, Namespace, Trigger
from fnkit.deploy.events import EventCallback, ResourceStep
from fnkit.deploy.retries import AdaptiveLimiter, wait_for_deletion, wait_for_namespace
from fnkit.errors import ConflictError, DeployError, NotFoundError
from fnkit.plan.model import (
    Action,
    AttachedResourceChange,
    CronChange,
    DomainChange,
    NamespaceChange,
    SecretDiff,
    TriggerChange,
    TriggerConfig,
)

ResourceT = TypeVar("ResourceT", bound=Cron | Domain | Trigger)
CreateT = TypeVar("CreateT", bound=api_requests.CreateCron | api_requests.CreateDomain | api_requests.CreateTrigger)
UpdateT = TypeVar(
    "UpdateT",
    bound=api_requests.UpdateCron
    | api_requests.UpdateTrigger
    | api_requests.UpdateNamespace
    | api_requests.UpdateFunction,
)
OwnedT = TypeVar("OwnedT", bound=Namespace | Function)
OwnedRequestT = TypeVar("OwnedRequestT", bound=api_requests.CreateNamespace | api_requests.CreateFunction)
AttachedResourceClient: TypeAlias = (
    ResourceClient[Cron, api_requests.CreateCron, api_requests.UpdateCron]
    | ResourceClient[Domain, api_requests.CreateDomain, Never]
    | ResourceClient[Trigger, api_requests.CreateTrigger, api_requests.UpdateTrigger]
)
ArchivePaths: TypeAlias = Mapping[str, Path]
"""Path of the zip file by digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyContext:
    """What applying changes needs. Shared by all threads; ``repr`` omits the secrets.

    Attributes:
        limiter: Limits concurrent requests and stops them on an interrupt.
        report: Called for each event, from several threads.
        archives: Zip files by content digest, for every change that uploads one.
        previous_archives: Zip files by slice digest, of slices deployed earlier that are still on this disk.
        secrets: Values by name.
        platform: Description of a local platform, whose functions' code can be edited; ``None`` for Scaleway.
    """

    api: FunctionsApi
    limiter: AdaptiveLimiter
    report: EventCallback
    archives: ArchivePaths = field(default_factory=dict)
    previous_archives: ArchivePaths = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    namespace_id: str = ""
    platform: PlatformInfo | None = None

    def step_callback(self, name: str) -> Callable[[str], None]:
        """Return a callback that reports a function's steps."""
        return lambda text: self.report(ResourceStep("function", name, text))


def apply_namespace(change: NamespaceChange, context: ApplyContext) -> str | None:
    """Create or update the namespace and wait until it is ready.

    Returns:
        Its id; ``None`` when the plan neither creates it nor names an existing one.

    Raises:
        ApiError: The API rejected a request.
        DeployError: The namespace did not become ready.
    """
    namespace_id = change.id
    match change.action:
        case Action.CREATE:
            context.report(ResourceStep("namespace", change.name, "creating"))
            project_id = context.api.endpoint.project_id
            settings = asdict(_namespace_settings(change, context.secrets))
            request = api_requests.CreateNamespace(name=change.name, project_id=project_id, **settings)
            namespace = create_owned(context.api.namespaces, request, project_id, context)
            return wait_for_namespace(context.api, namespace, context.limiter).id
        case Action.UPDATE if namespace_id is not None:
            context.report(ResourceStep("namespace", change.name, "updating"))
            body = _namespace_settings(change, context.secrets)
            namespace = context.limiter.call(lambda: context.api.namespaces.update(namespace_id, body))
            return wait_for_namespace(context.api, namespace, context.limiter).id
        case _:
            return namespace_id


def delete_namespace(change: NamespaceChange, context: ApplyContext) -> None:
    """Delete the namespace and wait until it is gone; do nothing unless the change is a deletion.

    Raises:
        ApiError: The API rejected the deletion.
        DeployError: The namespace did not disappear.
    """
    namespace_id = change.id
    if change.action is not Action.DELETE or namespace_id is None:
        return
    context.report(ResourceStep("namespace", change.name, "deleting"))
    delete_and_wait(context.api.namespaces, namespace_id, f"The namespace {change.name}", context)


def create_owned(
    client: ResourceClient[OwnedT, OwnedRequestT, UpdateT],
    request: OwnedRequestT,
    parent_id: str,
    context: ApplyContext,
) -> OwnedT:
    """Create a namespace or a function.

    If the response to an earlier attempt was lost, the API reports a conflict; the resource then exists with our
    tags. One without them belongs to another owner, so that the conflict is raised.
    """
    tags = set(request.tags or ())

    def create() -> OwnedT:
        try:
            return client.create(request)
        except ConflictError:
            for found in client.list(parent_id, name=request.name):
                if found.name == request.name and tags <= set(found.tags):
                    return found
            raise

    return context.limiter.call(create)


def delete_and_wait(
    client: ResourceClient[Any, Any, Any],
    resource_id: str,
    subject: str,
    context: ApplyContext,
    *,
    minutes: int = 5,
) -> None:
    """Delete a resource, if it exists, and wait until it is gone.

    Raises:
        ApiError: The API rejected the deletion.
        DeployError: The resource did not disappear.
    """
    try:
        context.limiter.call(lambda: client.delete(resource_id))
    except NotFoundError:
        return
    wait_for_deletion(context.api, lambda: client.get(resource_id), subject, context.limiter, minutes=minutes)


def _namespace_settings(change: NamespaceChange, secrets: Mapping[str, str]) -> api_requests.UpdateNamespace:
    settings = change.settings
    return api_requests.UpdateNamespace(
        environment_variables=settings.environment if settings else None,
        description=settings.description if settings else None,
        secret_environment_variables=secret_inputs(change.secrets, secrets),
        tags=list(settings.tags) if settings else None,
    )


def secret_inputs(changes: SecretDiff, values: Mapping[str, str]) -> list[api_requests.Secret] | None:
    """Return the secrets to write with their values, and those to delete without; ``None`` for none."""
    written = [api_requests.Secret(key=name, value=values[name]) for name in changes.write]
    return [*written, *(api_requests.Secret(key=name) for name in changes.remove)] or None


def apply_attached_resources(
    function_id: str, changes: tuple[AttachedResourceChange, ...], context: ApplyContext
) -> tuple[str, ...]:
    """Apply the changes of one function's crons, domains and triggers; return the ids of the remaining ones.

    Deletions come first, so that a schedule moved from one name to another never runs twice.

    Raises:
        ApiError: The API rejected a request.
        DeployError: A deleted resource did not disappear.
    """
    for change in changes:
        if change.action is Action.DELETE and change.id is not None:
            _delete_resource(change, change.id, context)
    return tuple(
        _apply_change(function_id, change, context) for change in changes if change.action is not Action.DELETE
    )


def _apply_change(function_id: str, change: AttachedResourceChange, context: ApplyContext) -> str:
    resource_id = change.id
    match change.action:
        case Action.KEEP if resource_id is not None:
            return resource_id
        case Action.UPDATE if resource_id is not None:
            return _update_resource(change, resource_id, context)
        case Action.REPLACE if resource_id is not None:
            # Until the old one is gone, its hostname or queue is not free for the new one.
            delete_and_wait(_client(change, context), resource_id, change.name, context, minutes=2)
            return _create_resource(function_id, change, context)
        case _:
            return _create_resource(function_id, change, context)


def _update_resource(change: AttachedResourceChange, resource_id: str, context: ApplyContext) -> str:
    match change:
        case CronChange(settings=settings) if settings is not None:
            cron = api_requests.UpdateCron(name=change.name, **asdict(settings))
            return context.limiter.call(lambda: context.api.crons.update(resource_id, cron)).id
        case TriggerChange(settings=settings) if settings is not None:
            # The description is the only field of a trigger that can change in place.
            trigger = api_requests.UpdateTrigger(description=settings.description)
            return context.limiter.call(lambda: context.api.triggers.update(resource_id, trigger)).id
        case _:
            raise DeployError(f"The plan updates {change.name}, which cannot be updated.", code="bad-plan")


def _create_resource(function_id: str, change: AttachedResourceChange, context: ApplyContext) -> str:
    name = change.name
    match change:
        case CronChange(settings=settings) if settings is not None:
            cron = api_requests.CreateCron(function_id=function_id, name=name, **asdict(settings))
            return _create_once(context.api.crons, cron, function_id, name, context)
        case DomainChange():
            domain = api_requests.CreateDomain(function_id=function_id, hostname=name)
            return _create_once(context.api.domains, domain, function_id, name, context)
        case TriggerChange(settings=settings) if settings is not None:
            trigger = _create_trigger_request(change, settings, function_id)
            return _create_once(context.api.triggers, trigger, function_id, name, context)
        case CronChange() | TriggerChange():
            raise DeployError(f"The plan creates {name} without settings.", code="bad-plan")
        case _:
            assert_never(change)


def _create_trigger_request(
    change: TriggerChange, settings: TriggerConfig, function_id: str
) -> api_requests.CreateTrigger:
    queue = nats = None
    if settings.source == "sqs":
        queue = api_requests.ScwSqsConfigInput(
            queue=settings.address, mnq_project_id=settings.project_id, mnq_region=settings.region
        )
    else:
        nats = api_requests.ScwNatsConfigInput(
            subject=settings.address,
            mnq_nats_account_id=settings.account or None,
            mnq_project_id=settings.project_id,
            mnq_region=settings.region,
        )
    return api_requests.CreateTrigger(
        name=change.name,
        function_id=function_id,
        description=settings.description,
        scw_sqs_config=queue,
        scw_nats_config=nats,
    )


def _create_once(
    client: ResourceClient[ResourceT, CreateT, UpdateT],
    request: CreateT,
    function_id: str,
    name: str,
    context: ApplyContext,
) -> str:
    """Create a resource at most once and return its id.

    A request whose response was lost may have succeeded, and names of these resources are not unique. Every attempt
    but the first therefore looks for the resource by name before creating it.
    """
    tried = False

    def attempt() -> ResourceT:
        nonlocal tried
        if tried:
            for found in client.list(function_id):
                if (found.hostname if isinstance(found, Domain) else found.name) == name:
                    return found
        tried = True
        return client.create(request)

    return context.limiter.call(attempt).id


def _delete_resource(change: AttachedResourceChange, resource_id: str, context: ApplyContext) -> None:
    try:
        context.limiter.call(lambda: _client(change, context).delete(resource_id))
    except NotFoundError:
        return


def _client(change: AttachedResourceChange, context: ApplyContext) -> AttachedResourceClient:
    match change:
        case CronChange():
            return context.api.crons
        case DomainChange():
            return context.api.domains
        case TriggerChange():
            return context.api.triggers
        case _:
            assert_never(change)
