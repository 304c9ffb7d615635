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
from fnkit.deploy.archives import ArchivePaths
from fnkit.deploy.events import ResourceFinished, EventCallback, ApplyStarted
from fnkit.deploy.functions import ApplyContext, apply_function
from fnkit.deploy.namespaces import apply_namespace, delete_namespace
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.results import ApplyResult, FunctionResult
from fnkit.errors import DeployError, FnkitError
from fnkit.plan.changes import Action, FunctionChange, NamespaceChange, Plan
from fnkit.plan.observed import ObservedState

__all__ = ["apply_plan"]


def apply_plan(
    plan: Plan,
    observed: ObservedState,
    api: FunctionsApi,
    *,
    archives: ArchivePaths,
    previous_archives: ArchivePaths,
    secrets: Mapping[str, str],
    limiter: AdaptiveLimiter,
    report: EventCallback,
) -> ApplyResult:
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
    report(ApplyStarted(sum(1 for change in plan.changes if change.action is not Action.KEEP)))
    namespace_change = next((change for change in plan.changes if isinstance(change, NamespaceChange)), None)
    functions = [change for change in plan.changes if isinstance(change, FunctionChange)]
    namespace_id = _apply_namespace_change(namespace_change, api, limiter, secrets, report)
    work = ApplyContext(
        api=api,
        limiter=limiter,
        archives=archives,
        previous_archives=previous_archives,
        secrets=secrets,
        report=report,
        namespace_id=namespace_id or "",
    )
    live = {function.name: function for function in observed.functions}
    deployments = [change for change in functions if change.action is not Action.DELETE]
    results = _apply_in_parallel(plan, deployments, live, work)
    deletions = [change for change in functions if change.action is Action.DELETE]
    if any(result.failure for result in results):
        return ApplyResult(
            plan=plan,
            namespace_id=namespace_id,
            functions=tuple(results),
            failures=_skipped_deletions(deletions),
        )
    results += _apply_in_parallel(plan, deletions, live, work)
    if namespace_change is not None and not any(result.failure for result in results):
        delete_namespace(api, limiter, namespace_change, report)
    return ApplyResult(plan=plan, namespace_id=namespace_id, functions=tuple(results))


def _apply_namespace_change(
    change: NamespaceChange | None,
    api: FunctionsApi,
    limiter: AdaptiveLimiter,
    secrets: Mapping[str, str],
    report: EventCallback,
) -> str | None:
    if change is None:
        return None
    started = time.monotonic()
    namespace_id = apply_namespace(api, limiter, change, secrets, report)
    if change.action in (Action.CREATE, Action.UPDATE):
        report(ResourceFinished("namespace", change.name, change.action.value, time.monotonic() - started))
    return namespace_id


def _apply_in_parallel(
    plan: Plan, changes: Iterable[FunctionChange], live: Mapping[str, Function], context: ApplyContext
) -> list[FunctionResult]:
    """Apply changes in threads. The limiter, not the number of threads, bounds concurrent requests."""
    pending = list(changes)
    if not pending:
        return []
    pool = ThreadPoolExecutor(max_workers=min(16, len(pending)), thread_name_prefix="deploy")
    futures: dict[Future[FunctionResult], FunctionChange] = {}
    try:
        for change in pending:
            children = plan.attached_changes(change.name)
            futures[pool.submit(apply_function, change, children, live.get(change.name), context)] = change
        for future in as_completed(futures):
            _report_finished(future.result(), context.report)
    except BaseException:
        # KeyboardInterrupt included. Without this, shutdown() would wait for whole builds; with it, each thread
        # raises at its next pause or request.
        context.limiter.interrupted.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]


def _report_finished(result: FunctionResult, report: EventCallback) -> None:
    if result.action == Action.KEEP:
        return
    failure = result.failure.message if result.failure else None
    report(ResourceFinished("function", result.name, result.action, result.seconds, failure))


def _skipped_deletions(deletions: list[FunctionChange]) -> tuple[FnkitError, ...]:
    if not deletions:
        return ()
    names = ", ".join(change.name for change in deletions)
    return (
        DeployError(
            f"Not deleted because an earlier change failed: {names}.",
            code="deletions-skipped",
            hint="The next deploy deletes them.",
        ),
    )
