"""Runs deploys: lock, make the inputs, apply the plan, record what was deployed.

Making the inputs is one pipeline:

1. *Discover* the target: its runtimes, and on a local platform the interpreters behind them.
2. *Load* the project for these runtimes. No user code runs.
3. *Read secrets* from the environment and ``.env`` files. They stay in memory.
4. *Bundle*: build archives and a digest for each function. Nothing is uploaded.
5. *Observe* the live state with as few requests as planning needs. Read-only.
6. *Plan*: each difference becomes a change with its reasons. Pure.

``fnkit plan`` ends here and ``fnkit deploy`` passes the same value to ``apply_plan``, so the two cannot diverge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fnkit.client.api import FunctionsApi
from fnkit.deploy.applying import apply_plan
from fnkit.deploy.events import EventCallback
from fnkit.deploy.loading import ProjectIdentity
from fnkit.deploy.observing import observe_namespace
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.places import CacheDirectory
from fnkit.deploy.preparing import DeployInputs, DeployRequest, prepare_inputs
from fnkit.deploy.results import ApplyResult
from fnkit.deploy.slice_memory import save_deployed_slices
from fnkit.deploy.turn import deploy_lock
from fnkit.errors import DeployError
from fnkit.plan import Plan, plan_destroy
from fnkit.plan.changes import encode_plan

__all__ = ["deploy", "destroy"]

ApproveCallback = Callable[[Plan], bool]
"""Called with the plan before anything changes; returning false cancels the deploy."""


def deploy(
    request: DeployRequest,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheDirectory,
    report: EventCallback,
    approve: ApproveCallback,
    saved_plan: Plan | None = None,
    wait: bool = True,
) -> tuple[DeployInputs, ApplyResult | None]:
    """Deploy a project.

    Holds the deploy lock of the endpoint, project directory and stage from before planning until the end.

    Args:
        request: What to deploy.
        api: The API to deploy to.
        environ: Environment variables, the source of secret values.
        cache: The cache directory.
        report: Called for each event, from several threads.
        approve: Called with the plan before anything changes.
        saved_plan: A saved plan. The deploy fails unless its own plan is identical.
        wait: Wait for a concurrent deploy instead of failing.

    Returns:
        The inputs, and the result; the result is ``None`` when the plan was not approved.

    Raises:
        FnkitError: Nothing was changed, or the namespace could not be created or updated.
    """
    pace = AdaptiveLimiter()
    subject = (api.endpoint.api_url, api.endpoint.region, str(request.directory), request.stage)
    with deploy_lock(cache.locks, key=subject, wait=wait, report=report):
        prepared = prepare_inputs(request, api, environ=environ, cache=cache, limiter=pace, report=report)
        if saved_plan is not None and encode_plan(saved_plan) != encode_plan(prepared.plan):
            raise DeployError(
                "The saved plan is out of date: the project or the platform has changed since.",
                code="stale-plan",
                hint="Create a new one with `fnkit plan --out FILE`.",
            )
        if not approve(prepared.plan):
            return prepared, None
        applied = apply_plan(
            prepared.plan,
            prepared.observed,
            api,
            archives=prepared.archives,
            previous_archives=prepared.previous_archives,
            secrets=prepared.secrets,
            limiter=pace,
            report=report,
        )
        done = [one.name for one in applied.functions if one.failure is None]
        save_deployed_slices(prepared.desired, done, prepared.archives, cache.slices)
        return prepared, applied


def destroy(
    identity: ProjectIdentity,
    api: FunctionsApi,
    *,
    cache: CacheDirectory,
    report: EventCallback,
    approve: ApproveCallback,
) -> tuple[Plan, ApplyResult | None]:
    """Delete everything that a project and its stage own. The project's code need not be valid.

    Args:
        identity: Names of the project, stage and namespace.
        api: The API to delete from.
        cache: The cache directory.
        report: Called for each event, from several threads.
        approve: Called with the plan before anything changes.

    Returns: The plan, and the result; the result is ``None`` when there was nothing to delete or the plan was not
        approved.

    Raises:
        FnkitError: Nothing was changed.
    """
    pace = AdaptiveLimiter()
    endpoint = api.endpoint
    subject = (endpoint.api_url, endpoint.region, str(identity.root), identity.stage)
    with deploy_lock(cache.locks, key=subject, wait=True, report=report):
        observed = observe_namespace(api, identity.namespace, pace)
        plan = plan_destroy(
            observed,
            project=identity.project,
            stage=identity.stage,
            namespace=identity.namespace,
            api_url=endpoint.api_url,
            region=endpoint.region,
            project_id=endpoint.project_id,
        )
        if plan.is_empty or not approve(plan):
            return plan, None
        applied = apply_plan(
            plan, observed, api, archives={}, previous_archives={}, secrets={}, limiter=pace, report=report
        )
        return plan, applied
