"""A whole deploy, and a whole removal: take a turn, prepare, apply, remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fnkit.client.api import FunctionsApi
from fnkit.deploy.applying import apply_plan
from fnkit.deploy.events import Report
from fnkit.deploy.loading import Identity
from fnkit.deploy.observing import observe
from fnkit.deploy.pacing import Pace
from fnkit.deploy.places import CacheFolder
from fnkit.deploy.preparing import Prepared, Wish, prepare
from fnkit.deploy.results import Applied
from fnkit.deploy.slice_memory import remember_slices
from fnkit.deploy.turn import take_turn
from fnkit.errors import DeployError
from fnkit.plan import Plan, plan_destroy
from fnkit.plan.changes import encode_plan

__all__ = ["deploy", "destroy"]

Approve = Callable[[Plan], bool]
"""Asked with the plan before anything is changed; false leaves everything as it is."""


def deploy(
    wish: Wish,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheFolder,
    report: Report,
    approve: Approve,
    promised: Plan | None = None,
    wait: bool = True,
) -> tuple[Prepared, Applied | None]:
    """Make the platform match the project.

    promised: a plan that was saved; the deploy does that or nothing. The second value is ``None`` when the plan
    was not approved.

    Raises:
        FnkitError: nothing was changed, or the namespace could not be made.
    """
    pace = Pace()
    subject = (api.endpoint.api_url, api.endpoint.region, str(wish.directory), wish.stage)
    with take_turn(cache.locks, subject=subject, wait=wait, report=report):
        prepared = prepare(wish, api, environ=environ, cache=cache, pace=pace, report=report)
        if promised is not None and encode_plan(promised) != encode_plan(prepared.plan):
            raise DeployError(
                "The saved plan no longer says what a deploy would do: the project or the platform changed since.",
                code="stale-plan",
                hint="Make a new one with `fnkit plan --out FILE`.",
            )
        if not approve(prepared.plan):
            return prepared, None
        applied = apply_plan(
            prepared.plan,
            prepared.observed,
            api,
            archives=prepared.archives,
            last_good=prepared.last_good,
            secrets=prepared.secrets,
            pace=pace,
            report=report,
        )
        done = [one.name for one in applied.functions if one.failure is None]
        remember_slices(prepared.desired, done, prepared.archives, cache.slices)
        return prepared, applied


def destroy(
    identity: Identity,
    api: FunctionsApi,
    *,
    cache: CacheFolder,
    report: Report,
    approve: Approve,
) -> tuple[Plan, Applied | None]:
    """Remove what a project and its stage own; its code need not be in order for that.

    The second value is ``None`` when nothing was done.
    """
    pace = Pace()
    endpoint = api.endpoint
    subject = (endpoint.api_url, endpoint.region, str(identity.root), identity.stage)
    with take_turn(cache.locks, subject=subject, wait=True, report=report):
        observed = observe(api, identity.namespace, pace)
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
        applied = apply_plan(plan, observed, api, archives={}, last_good={}, secrets={}, pace=pace, report=report)
        return plan, applied
