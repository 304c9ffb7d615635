"""Applies a plan: namespace first, functions in parallel, deletions last.

Nothing is deleted after a failure: functions that still serve are worth more than a tidy namespace, and the next
deploy deletes them. An interrupt stops every thread between two requests; the next plan completes unfinished work.

The order of requests for one function makes a deploy safe to interrupt at any point: create the function with its
owner tags but no digest; upload the archive; apply its crons, domains and triggers; then send one PATCH with every
setting, the digest and the redeploy. Until that PATCH is accepted, the next plan sees the old digest, or none, and
repeats the rest. ``tests/e2e/test_cut_off_deploys.py`` interrupts a deploy after each request.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from fnkit.client.api import FunctionsApi
from fnkit.contract.resources import Function
from fnkit.deploy.archives import Archives
from fnkit.deploy.events import Finished, Report, Started
from fnkit.deploy.functions import FunctionWork, apply_function
from fnkit.deploy.namespaces import apply_namespace, delete_namespace
from fnkit.deploy.pacing import Pace
from fnkit.deploy.results import Applied, FunctionResult
from fnkit.errors import DeployError, FnkitError
from fnkit.plan.changes import Action, FunctionChange, NamespaceChange, Plan
from fnkit.plan.observed import Observed

__all__ = ["apply_plan"]


def apply_plan(
    plan: Plan,
    observed: Observed,
    api: FunctionsApi,
    *,
    archives: Archives,
    last_good: Archives,
    secrets: Mapping[str, str],
    pace: Pace,
    report: Report,
) -> Applied:
    """Apply a plan and return the result. Failures of single functions are part of the result, not raised.

    Args:
        plan: The plan.
        observed: The state that the plan was made from.
        api: The API.
        archives: Zip files by content digest, for every change that uploads one.
        previous_archives: Zip files by slice digest of what is live now, where this machine still has them.
        secrets: Secret values by name.
        limiter: Limits concurrent requests and stops them on an interrupt.
        report: Called for each event, from several threads.

    Raises:
        FnkitError: The namespace could not be created or updated, so no function was changed.
        KeyboardInterrupt: Raised after all threads have stopped.
    """
    report(Started(sum(1 for change in plan.changes if change.action is not Action.KEEP)))
    namespace_change = next((change for change in plan.changes if isinstance(change, NamespaceChange)), None)
    functions = [change for change in plan.changes if isinstance(change, FunctionChange)]
    namespace_id = _make_namespace(namespace_change, api, pace, secrets, report)
    work = FunctionWork(
        api=api,
        pace=pace,
        archives=archives,
        last_good=last_good,
        secrets=secrets,
        report=report,
        namespace_id=namespace_id or "",
    )
    live = {function.name: function for function in observed.functions}
    deployments = [change for change in functions if change.action is not Action.DELETE]
    results = _side_by_side(plan, deployments, live, work)
    deletions = [change for change in functions if change.action is Action.DELETE]
    if any(result.failure for result in results):
        return Applied(
            plan=plan,
            namespace_id=namespace_id,
            functions=tuple(results),
            failures=_left_standing(deletions),
        )
    results += _side_by_side(plan, deletions, live, work)
    if namespace_change is not None and not any(result.failure for result in results):
        delete_namespace(api, pace, namespace_change, report)
    return Applied(plan=plan, namespace_id=namespace_id, functions=tuple(results))


def _make_namespace(
    holder: NamespaceChange | None, api: FunctionsApi, pace: Pace, secrets: Mapping[str, str], report: Report
) -> str | None:
    if holder is None:
        return None
    started = time.monotonic()
    namespace_id = apply_namespace(api, pace, holder, secrets, report)
    if holder.action in (Action.CREATE, Action.UPDATE):
        report(Finished("namespace", holder.name, holder.action.value, time.monotonic() - started))
    return namespace_id


def _side_by_side(
    plan: Plan, changes: Iterable[FunctionChange], live: Mapping[str, Function], work: FunctionWork
) -> list[FunctionResult]:
    """Apply changes in threads. The limiter, not the number of threads, bounds concurrent requests."""
    pending = list(changes)
    if not pending:
        return []
    pool = ThreadPoolExecutor(max_workers=min(16, len(pending)), thread_name_prefix="deploy")
    futures: dict[Future[FunctionResult], FunctionChange] = {}
    try:
        for change in pending:
            children = plan.children_of(change.name)
            futures[pool.submit(apply_function, change, children, live.get(change.name), work)] = change
        for future in as_completed(futures):
            _tell_finished(future.result(), work.report)
    except BaseException:
        # KeyboardInterrupt included. Without this, shutdown() would wait for whole builds; with it, each thread
        # raises at its next pause or request.
        work.pace.stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]


def _tell_finished(result: FunctionResult, report: Report) -> None:
    if result.action == Action.KEEP:
        return
    failure = result.failure.message if result.failure else None
    report(Finished("function", result.name, result.action, result.seconds, failure))


def _left_standing(leaving: list[FunctionChange]) -> tuple[FnkitError, ...]:
    if not leaving:
        return ()
    names = ", ".join(change.name for change in leaving)
    return (
        DeployError(
            f"Not deleted because an earlier change failed: {names}.",
            code="deletions-skipped",
            hint="The next deploy deletes them.",
        ),
    )
