"""Applies the changes of the namespace, and of a function's crons, domains and triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, assert_never

from fnkit.client.api import FunctionsApi
from fnkit.contract.requests import (
    CreateCron,
    CreateDomain,
    CreateNamespace,
    CreateTrigger,
    ScwNatsConfigInput,
    ScwSqsConfigInput,
    Secret,
    UpdateCron,
    UpdateNamespace,
    UpdateTrigger,
)
from fnkit.contract.resources import Cron, Domain, Namespace, Trigger
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

__all__ = ["apply_attached_resources", "apply_namespace", "delete_namespace", "secret_inputs"]

ResourceT = TypeVar("ResourceT", Cron, Domain, Trigger)


def apply_namespace(
    api: FunctionsApi,
    limiter: AdaptiveLimiter,
    change: NamespaceChange,
    secrets: Mapping[str, str],
    report: EventCallback,
) -> str | None:
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
            report(ResourceStep("namespace", change.name, "creating"))
            namespace = _create_namespace(api, limiter, change, secrets)
            return wait_for_namespace(api, namespace, limiter).id
        case Action.UPDATE if namespace_id is not None:
            report(ResourceStep("namespace", change.name, "updating"))
            body = _update_namespace_request(change, secrets)
            namespace = limiter.call(lambda: api.namespaces.update(namespace_id, body), idempotent=True)
            return wait_for_namespace(api, namespace, limiter).id
        case _:
            return namespace_id


def delete_namespace(
    api: FunctionsApi, limiter: AdaptiveLimiter, change: NamespaceChange, report: EventCallback
) -> None:
    """Delete the namespace and wait until it is gone; do nothing unless the change is a deletion.

    Raises:
        ApiError: The API rejected the deletion.
        DeployError: The namespace did not disappear.
    """
    namespace_id = change.id
    if change.action is not Action.DELETE or namespace_id is None:
        return
    report(ResourceStep("namespace", change.name, "deleting"))
    try:
        limiter.call(lambda: api.namespaces.delete(namespace_id), idempotent=True)
    except NotFoundError:
        return
    wait_for_deletion(api, lambda: api.namespaces.get(namespace_id), f"The namespace {change.name}", limiter)


def _create_namespace(
    api: FunctionsApi, limiter: AdaptiveLimiter, change: NamespaceChange, secrets: Mapping[str, str]
) -> Namespace:
    """Create the namespace.

    If the response to an earlier attempt was lost, the API reports a conflict; the namespace then exists with our
    tags.
    """
    body = _create_namespace_request(change, api.endpoint.project_id, secrets)
    tags = set(body.tags or ())

    def create() -> Namespace:
        try:
            return api.namespaces.create(body)
        except ConflictError:
            for found in api.namespaces.list(name=change.name, project_id=api.endpoint.project_id):
                if found.name == change.name and tags <= set(found.tags):
                    return found
            raise

    return limiter.call(create, idempotent=True)


def _create_namespace_request(
    change: NamespaceChange, project_id: str, secrets: Mapping[str, str]
) -> CreateNamespace:
    settings = change.settings
    return CreateNamespace(
        name=change.name,
        project_id=project_id,
        environment_variables=settings.environment if settings else None,
        description=settings.description if settings else None,
        secret_environment_variables=secret_inputs(change.secrets, secrets),
        tags=list(settings.tags) if settings else None,
    )


def _update_namespace_request(change: NamespaceChange, secrets: Mapping[str, str]) -> UpdateNamespace:
    settings = change.settings
    return UpdateNamespace(
        environment_variables=settings.environment if settings else None,
        description=settings.description if settings else None,
        secret_environment_variables=secret_inputs(change.secrets, secrets),
        tags=list(settings.tags) if settings else None,
    )


def secret_inputs(changes: SecretDiff, values: Mapping[str, str]) -> list[Secret] | None:
    """Return the secrets to write with their values, and those to delete without; ``None`` for none."""
    written = [Secret(key=name, value=values[name]) for name in changes.write]
    return [*written, *(Secret(key=name) for name in changes.remove)] or None


def apply_attached_resources(
    api: FunctionsApi, limiter: AdaptiveLimiter, function_id: str, changes: tuple[AttachedResourceChange, ...]
) -> tuple[str, ...]:
    """Apply the changes of one function's crons, domains and triggers; return the ids of the remaining ones.

    Deletions come first, so that a schedule moved from one name to another never runs twice.

    Raises:
        ApiError: The API rejected a request.
        DeployError: A deleted resource did not disappear.
    """
    for change in changes:
        if change.action is Action.DELETE and change.id is not None:
            _delete_resource(api, limiter, change, change.id)
    return tuple(
        _apply_change(api, limiter, function_id, change) for change in changes if change.action is not Action.DELETE
    )


def _apply_change(
    api: FunctionsApi, limiter: AdaptiveLimiter, function_id: str, change: AttachedResourceChange
) -> str:
    resource_id = change.id
    match change.action:
        case Action.KEEP if resource_id is not None:
            return resource_id
        case Action.UPDATE if resource_id is not None:
            return _update_resource(api, limiter, change, resource_id)
        case Action.REPLACE if resource_id is not None:
            _delete_resource(api, limiter, change, resource_id)
            # Until the old one is gone, its hostname or queue is not free for the new one.
            get = api.domains.get if isinstance(change, DomainChange) else api.triggers.get
            wait_for_deletion(api, lambda: get(resource_id), change.name, limiter, minutes=2)
            return _create_resource(api, limiter, function_id, change)
        case _:
            return _create_resource(api, limiter, function_id, change)


def _update_resource(
    api: FunctionsApi, limiter: AdaptiveLimiter, change: AttachedResourceChange, resource_id: str
) -> str:
    match change:
        case CronChange():
            cron = UpdateCron(schedule=change.schedule, args=change.args, name=change.name)
            return limiter.call(lambda: api.crons.update(resource_id, cron), idempotent=True).id
        case TriggerChange(settings=settings) if settings is not None:
            # The description is the only field of a trigger that can change in place.
            trigger = UpdateTrigger(description=settings.description)
            return limiter.call(lambda: api.triggers.update(resource_id, trigger), idempotent=True).id
        case _:
            raise DeployError(f"The plan updates {change.name}, which cannot be updated.", code="bad-plan")


def _create_resource(
    api: FunctionsApi, limiter: AdaptiveLimiter, function_id: str, change: AttachedResourceChange
) -> str:
    match change:
        case CronChange():
            cron = CreateCron(function_id=function_id, schedule=change.schedule, args=change.args, name=change.name)
            return _create_idempotently(
                limiter,
                lambda: api.crons.create(cron),
                lambda: [one for one in api.crons.list(function_id) if one.name == change.name],
            )
        case DomainChange():
            domain = CreateDomain(function_id=function_id, hostname=change.name)
            return _create_idempotently(
                limiter,
                lambda: api.domains.create(domain),
                lambda: [one for one in api.domains.list(function_id) if one.hostname == change.name],
            )
        case TriggerChange(settings=settings) if settings is not None:
            trigger = _create_trigger_request(change, settings, function_id)
            return _create_idempotently(
                limiter,
                lambda: api.triggers.create(trigger),
                lambda: [one for one in api.triggers.list(function_id) if one.name == change.name],
            )
        case TriggerChange():
            raise DeployError(f"The plan creates {change.name} without settings.", code="bad-plan")
        case _:
            assert_never(change)


def _create_trigger_request(change: TriggerChange, settings: TriggerConfig, function_id: str) -> CreateTrigger:
    queue = nats = None
    if settings.source == "sqs":
        queue = ScwSqsConfigInput(
            queue=settings.address, mnq_project_id=settings.project_id, mnq_region=settings.region
        )
    else:
        nats = ScwNatsConfigInput(
            subject=settings.address,
            mnq_nats_account_id=settings.account or None,
            mnq_project_id=settings.project_id,
            mnq_region=settings.region,
        )
    return CreateTrigger(
        name=change.name,
        function_id=function_id,
        description=settings.description,
        scw_sqs_config=queue,
        scw_nats_config=nats,
    )


def _create_idempotently(
    limiter: AdaptiveLimiter, create: Callable[[], ResourceT], find: Callable[[], list[ResourceT]]
) -> str:
    """Create a resource at most once and return its id.

    A request whose response was lost may have succeeded, and names of these resources are not unique. Every attempt
    but the first therefore looks for the resource by name before creating it.
    """
    tried = False

    def attempt() -> ResourceT:
        nonlocal tried
        if tried and (found := find()):
            return found[0]
        tried = True
        return create()

    return limiter.call(attempt, idempotent=True).id


def _delete_resource(
    api: FunctionsApi, limiter: AdaptiveLimiter, change: AttachedResourceChange, resource_id: str
) -> None:
    delete: Callable[[str], object]
    match change:
        case CronChange():
            delete = api.crons.delete
        case DomainChange():
            delete = api.domains.delete
        case TriggerChange():
            delete = api.triggers.delete
        case _:
            assert_never(change)
    try:
        limiter.call(lambda: delete(resource_id), idempotent=True)
    except NotFoundError:
        return
