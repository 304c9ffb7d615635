"""Reads the live state with as few requests as planning needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.resources import Namespace
from fnkit.deploy.pacing import Pace
from fnkit.deploy.waiting import until_namespace_gone
from fnkit.plan.desired import Desired
from fnkit.plan.observed import LiveChildren, Observed
from fnkit.plan.planning import undecided_children

__all__ = ["observe", "observe_children"]


def observe(api: FunctionsApi, namespace: str, pace: Pace) -> Observed:
    """Return the namespace of that name in the endpoint's project, and its functions.

    Waits for a namespace that is being deleted, because its name is not free until then.

    Raises:
        ApiError: The API rejected a request.
        DeployError: A namespace stays in deletion.
    """
    live_namespace = _namespace(api, namespace, pace)
    if live_namespace is None:
        return Observed()
    functions = pace.ask(lambda: api.functions.list(live_namespace.id), repeatable=True)
    return Observed(
        namespace=live_namespace, functions=tuple(one for one in functions if one.status != Status.DELETING)
    )


def observe_children(
    api: FunctionsApi, observed: Observed, desired: Desired, pace: Pace, *, refresh: bool = False
) -> Observed:
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
        else undecided_children(desired, observed)
    )

    def fetch(function_id: str) -> tuple[str, LiveChildren]:
        return function_id, LiveChildren(
            crons=tuple(pace.ask(lambda: api.crons.list(function_id), repeatable=True)),
            domains=tuple(pace.ask(lambda: api.domains.list(function_id), repeatable=True)),
            triggers=tuple(pace.ask(lambda: api.triggers.list(function_id), repeatable=True)),
        )

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="observe") as pool:
        children = dict(pool.map(fetch, ids))
    return Observed(namespace=observed.namespace, functions=observed.functions, children=children)


def _namespace(api: FunctionsApi, name: str, pace: Pace) -> Namespace | None:
    # Whether the API's name filter matches exactly is neither documented nor visible in recordings.
    matches = pace.ask(lambda: api.namespaces.list(name=name, project_id=api.endpoint.project_id), repeatable=True)
    for match in matches:
        if match.name != name:
            continue
        if match.status != Status.DELETING:
            return match
        until_namespace_gone(api, match.id, match.name, pace)
    return None
