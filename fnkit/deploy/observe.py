"""Reads the live state with as few requests as planning needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Namespace
from fnkit.deploy.retries import AdaptiveLimiter, wait_for_deletion
from fnkit.deploy.target import function_urls
from fnkit.plan.planner import resources_to_fetch
from fnkit.plan.state import AttachedResources, DesiredState, ObservedState


def observe_namespace(api: FunctionsApi, namespace: str, limiter: AdaptiveLimiter) -> ObservedState:
    """Return the namespace of that name in the endpoint's project, and its functions.

    Waits for a namespace that is being deleted, because its name is not free until then.

    Raises:
        ApiError: The API rejected a request.
        DeployError: A namespace stays in deletion.
    """
    live_namespace = _find_namespace(api, namespace, limiter)
    if live_namespace is None:
        return ObservedState()
    functions = limiter.call(lambda: api.functions.list(live_namespace.id))
    return ObservedState(
        namespace=live_namespace, functions=tuple(one for one in functions if one.status != Status.DELETING)
    )


def observe_attached_resources(
    api: FunctionsApi,
    observed: ObservedState,
    desired: DesiredState,
    limiter: AdaptiveLimiter,
    *,
    refresh: bool = False,
) -> ObservedState:
    """Return ``observed`` with the crons, domains and triggers that planning needs.

    Args:
        api: The API.
        observed: The state to add them to.
        desired: The declared state.
        limiter: Limits concurrent requests.
        refresh: List those of every declared function.
    """
    wanted = {function.name for function in desired.functions}
    ids = (
        tuple(one.id for one in observed.functions if one.name in wanted)
        if refresh
        else resources_to_fetch(desired, observed)
    )

    def fetch(function_id: str) -> tuple[str, AttachedResources]:
        return function_id, AttachedResources(
            crons=tuple(limiter.call(lambda: api.crons.list(function_id))),
            domains=tuple(limiter.call(lambda: api.domains.list(function_id))),
            triggers=tuple(limiter.call(lambda: api.triggers.list(function_id))),
        )

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="observe") as pool:
        resources = dict(pool.map(fetch, ids))
    return replace(observed, attached_resources=resources)


def with_function_urls(observed: ObservedState, desired: DesiredState, info: PlatformInfo | None) -> ObservedState:
    """Return ``observed`` with the URLs of the live functions that variables of the desired ones refer to."""
    referenced = {name for function in desired.functions for name in function.function_urls.values()}
    urls = {
        one.name: function_urls(
            info, one.domain_name, region=one.region, namespace=desired.namespace.name, function=one.name
        )
        for one in observed.functions
        if one.name in referenced
    }
    return replace(observed, function_urls=urls)


def _find_namespace(api: FunctionsApi, name: str, limiter: AdaptiveLimiter) -> Namespace | None:
    # Whether the API's name filter matches exactly is neither documented nor visible in recordings.
    matches = limiter.call(lambda: api.namespaces.list(name=name, project_id=api.endpoint.project_id))
    for match in matches:
        if match.name != name:
            continue
        if match.status != Status.DELETING:
            return match
        get = partial(api.namespaces.get, match.id)
        wait_for_deletion(api, get, f"The namespace {match.name}", limiter)
    return None
