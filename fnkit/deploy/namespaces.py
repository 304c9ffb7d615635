"""Applies the change of the namespace."""

from __future__ import annotations

from collections.abc import Mapping

from fnkit.client.api import FunctionsApi
from fnkit.contract.resources import Namespace
from fnkit.deploy import requests
from fnkit.deploy.events import EventCallback, ResourceStep
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.waiting import wait_for_namespace_deletion, wait_for_namespace
from fnkit.errors import ConflictError, NotFoundError
from fnkit.plan.changes import Action, NamespaceChange

__all__ = ["apply_namespace", "delete_namespace"]


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
            body = requests.update_namespace(change, secrets)
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
    wait_for_namespace_deletion(api, namespace_id, change.name, limiter)


def _create_namespace(
    api: FunctionsApi, limiter: AdaptiveLimiter, change: NamespaceChange, secrets: Mapping[str, str]
) -> Namespace:
    """Create the namespace.

    If the response to an earlier attempt was lost, the API reports a conflict; the namespace then exists with our
    tags.
    """
    body = requests.create_namespace(change, api.endpoint.project_id, secrets)
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
