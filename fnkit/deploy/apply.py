"""Applies a plan: namespace first, functions in parallel, deletions last.

Functions whose URLs others need (``url_of``) are created before the parallel part, without code.

Nothing is deleted after a failure: functions that still serve are worth more than a tidy namespace, and the next
deploy deletes them. An interrupt stops every thread between two requests; the next plan completes unfinished work.

The order of requests for one function makes a deploy safe to interrupt at any point: create the function with its
owner tags but no digest; upload the archive; apply its crons, domains and triggers; then send one PATCH with every
setting, the digest and the redeploy. Until that PATCH is accepted, the next plan sees the old digest, or none, and
repeats the rest. ``tests/e2e/test_interrupted_deploys.py`` interrupts a deploy after each request.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Final

from msgspec.structs import asdict

from fnkit.contract.enums import Status
from fnkit.contract.requests import FunctionFields, UpdateFunction
from fnkit.contract.resources import Function
from fnkit.contract.runtimes import python_version
from fnkit.deploy.apply_resources import (
    ApplyContext,
    apply_attached_resources,
    apply_namespace,
    delete_namespace,
    secret_inputs,
)
from fnkit.deploy.archive_edit import changes_code_only, deploy_end, find_archive_end
from fnkit.deploy.create_functions import (
    CreatedFunctions,
    create_function,
    create_referenced_functions,
    delete_function,
)
from fnkit.deploy.events import ApplyResult, ApplyStarted, EventCallback, FunctionResult, ResourceFinished
from fnkit.deploy.retries import DeployInterrupted, wait_for_function
from fnkit.deploy.start_report import fail_unimportable
from fnkit.errors import DeployError, FnkitError
from fnkit.plan.model import Action, AttachedResourceChange, FunctionChange, FunctionConfig, NamespaceChange, Plan
from fnkit.plan.ownership import code_tag, hash_live_ids, read_ownership, resource_hash_tag
from fnkit.plan.state import ObservedState

_REPORTED_NAMESPACE_ACTIONS: Final = (Action.CREATE, Action.UPDATE)


def apply_plan(plan: Plan, observed: ObservedState, context: ApplyContext) -> ApplyResult:
    """Apply a plan and return the result. Failures of single functions are part of the result, not raised.

    Args:
        plan: The plan.
        observed: The state that the plan was made from.
        context: The API and the inputs.

    Raises:
        FnkitError: The namespace could not be created or updated, so no function was changed.
        KeyboardInterrupt: Raised after all threads have stopped.
    """
    context.report(ApplyStarted(_reported_resources(plan)))
    namespace_change = next((change for change in plan.changes if isinstance(change, NamespaceChange)), None)
    functions = [change for change in plan.changes if isinstance(change, FunctionChange)]
    namespace_id = _apply_namespace_change(namespace_change, context)
    context = replace(context, namespace_id=namespace_id or "")
    live = {function.name: function for function in observed.functions}
    deployments = [change for change in functions if change.action is not Action.DELETE]
    created = create_referenced_functions(plan, context)
    results = _apply_in_parallel(plan, deployments, live, context, created)
    results = fail_unimportable(results, context.api, context.limiter)
    deletions = [change for change in functions if change.action is Action.DELETE]
    if any(result.failure for result in results):
        failures = _skipped_deletions(deletions)
        return ApplyResult(plan=plan, namespace_id=namespace_id, functions=tuple(results), failures=failures)
    results += _apply_in_parallel(plan, deletions, live, context, CreatedFunctions())
    if namespace_change is not None and not any(result.failure for result in results):
        delete_namespace(namespace_change, context)
    return ApplyResult(plan=plan, namespace_id=namespace_id, functions=tuple(results))


def _reported_resources(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return kind and name of what is reported as finished: a function with its crons, domains and triggers."""
    return tuple(
        ("function" if isinstance(change, FunctionChange) else "namespace", change.name)
        for change in plan.changes
        if (isinstance(change, FunctionChange) and change.action is not Action.KEEP)
        or (isinstance(change, NamespaceChange) and change.action in _REPORTED_NAMESPACE_ACTIONS)
    )


def _apply_namespace_change(change: NamespaceChange | None, context: ApplyContext) -> str | None:
    if change is None:
        return None
    started = time.monotonic()
    namespace_id = apply_namespace(change, context)
    if change.action in _REPORTED_NAMESPACE_ACTIONS:
        seconds = time.monotonic() - started
        context.report(ResourceFinished("namespace", change.name, change.action.value, seconds))
    return namespace_id


def _apply_in_parallel(
    plan: Plan,
    changes: Iterable[FunctionChange],
    live: Mapping[str, Function],
    context: ApplyContext,
    created: CreatedFunctions,
) -> list[FunctionResult]:
    """Apply changes in threads. The limiter, not the number of threads, bounds concurrent requests."""
    pending = list(changes)
    if not pending:
        return []
    pool = ThreadPoolExecutor(max_workers=min(16, len(pending)), thread_name_prefix="deploy")
    futures: dict[Future[FunctionResult], FunctionChange] = {}
    try:
        for change in pending:
            resource_changes = plan.attached_changes(change.name)
            function = live.get(change.name)
            future = pool.submit(_apply_function, change, resource_changes, function, context, created)
            futures[future] = change
        for future in as_completed(futures):
            _report_finished(future.result(), context.report)
    except BaseException:
        # KeyboardInterrupt included. Without this, shutdown() would wait for whole builds; with it, each thread
        # raises at its next pause or request.
        context.limiter.interrupt()
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


def _apply_function(
    change: FunctionChange,
    resource_changes: tuple[AttachedResourceChange, ...],
    live: Function | None,
    context: ApplyContext,
    created: CreatedFunctions,
) -> FunctionResult:
    """Apply the change of one function. A failure is part of the result, not raised.

    Args:
        change: The function's change.
        resource_changes: The changes of its crons, domains and triggers.
        live: The function as observed, ``None`` if it does not exist.
        context: The API and shared inputs.
        created: The functions that exist already because others need their URLs.
    """
    started = time.monotonic()
    uploaded = 0
    function = created.functions.get(change.name, live)
    failure: FnkitError | None = None
    try:
        match change.action:
            case Action.KEEP:
                pass
            case Action.DELETE:
                delete_function(change, context)
                function = None
            case Action.CREATE | Action.UPDATE | Action.REPLACE:
                _wait_until_stable(live, context)
                complete, existing = created.complete(change), created.functions.get(change.name)
                function, uploaded = _deploy_function(complete, resource_changes, live, existing, context)
                failure = _check_ready(function, context)
                if failure is not None and live is not None:
                    function, failure = _try_rollback(live, function, failure, context)
    except FnkitError as error:
        failure = error
    return FunctionResult(
        name=change.name,
        action=change.action.value,
        id=function.id if function else "",
        status=_result_status(change, function, failure),
        domain=function.domain_name if function else "",
        digest=change.code,
        seconds=time.monotonic() - started,
        uploaded_bytes=uploaded,
        failure=failure,
    )


def _wait_until_stable(live: Function | None, context: ApplyContext) -> None:
    """Wait for an earlier deploy to end.

    How the API handles a PATCH during a deploy is neither documented nor recorded.
    """
    if live is not None and live.status in (Status.PENDING, Status.CREATING):
        wait_for_function(context.api, live, context.limiter, context.step_callback(live.name))


def _deploy_function(
    change: FunctionChange,
    resource_changes: tuple[AttachedResourceChange, ...],
    live: Function | None,
    created: Function | None,
    context: ApplyContext,
) -> tuple[Function, int]:
    settings = change.settings
    if settings is None:
        raise DeployError(f"The plan creates {change.name} without settings.", code="bad-plan")
    on_step = context.step_callback(change.name)
    function_id = change.id
    if function_id is None or change.action is Action.REPLACE:
        function_id = (create_function(change, context) if created is None else created).id
    uploaded = 0
    if live is not None and (edited := _edit_code(change, settings, resource_changes, live, context)) is not None:
        return edited
    if change.archive is not None:
        on_step("uploading")
        uploaded = _upload_archive(function_id, context.archives[change.archive], context)
    resource_ids = apply_attached_resources(function_id, resource_changes, context)
    on_step("deploying")
    body = _update_request(change, settings, resource_ids, context.secrets)
    updated = context.limiter.call(lambda: context.api.functions.update(function_id, body))
    return wait_for_function(context.api, updated, context.limiter, on_step), uploaded


def _edit_code(
    change: FunctionChange,
    settings: FunctionConfig,
    resource_changes: tuple[AttachedResourceChange, ...],
    live: Function,
    context: ApplyContext,
) -> tuple[Function, int] | None:
    """Deploy a change of a function's own files by the end of its archive; ``None`` for every other change."""
    previous = context.previous_archives.get(read_ownership(live.tags).code_digest or "")
    archive = context.archives.get(change.archive or "")
    is_python = python_version(settings.runtime) is not None
    is_possible = (
        context.platform is not None and change.action is Action.UPDATE and change.id == live.id and is_python
    )
    if not is_possible or previous is None or archive is None:
        return None
    if any(resource.action is not Action.KEEP for resource in resource_changes):
        return None
    body = _update_request(change, settings, [one.id for one in resource_changes if one.id], context.secrets)
    if not changes_code_only(live, body) or (end := find_archive_end(previous, archive)) is None:
        return None
    context.step_callback(change.name)("deploying")
    function = context.limiter.call(lambda: deploy_end(context.api, live, body, end))
    return None if function is None else (function, len(end.content))


def _upload_archive(function_id: str, archive: Path, context: ApplyContext) -> int:
    """Upload a function's archive and return its size in bytes. Idempotent.

    Raises:
        ApiError: The API or the object store rejected it.
        DeployError: The archive cannot be read.
    """

    def send() -> int:
        try:
            stream = archive.open("rb")
        except OSError as error:
            raise DeployError(
                f"The archive {archive.name} cannot be read: {error.strerror}.", code="archive-unreadable"
            ) from error
        with stream:
            size = archive.stat().st_size
            # Request a new URL for each attempt: a signed URL is valid for one content length and one hour.
            target = context.api.functions.upload_url(function_id, size)
            headers = {name: ",".join(values) for name, values in target.headers.items()}
            context.api.transport.upload(target.url, headers, stream, size)
        return size

    return context.limiter.call(send)


def _update_request(
    change: FunctionChange, settings: FunctionConfig, resource_ids: Iterable[str], secrets: Mapping[str, str]
) -> UpdateFunction:
    """Return the request with every setting, the tags with the new digest, and the redeploy."""
    links = change.live_links if change.live_links is not None else hash_live_ids(resource_ids)
    tags = [*change.tags, code_tag(change.code), resource_hash_tag(change.declared, links)]
    fields = asdict(settings)
    return UpdateFunction(
        environment_variables=fields.pop("environment"),
        memory_limit=fields.pop("memory"),
        **fields,
        redeploy=True,
        secret_environment_variables=secret_inputs(change.secrets, secrets),
        tags=tags,
    )


def _check_ready(function: Function, context: ApplyContext) -> DeployError | None:
    if function.status == Status.READY:
        return None
    reason = function.error_message or f"its status is {function.status}"
    is_local = context.api.endpoint.is_loopback
    return DeployError(
        f"{function.name} was not deployed: {reason}.",
        code="function-in-error",
        hint=f"`fnkit logs {function.name} --build`, with the options of this deploy, shows what its build wrote."
        if is_local
        else "The output of its build is in Cockpit's logs.",
    )


def _try_rollback(
    live: Function, function: Function, failure: DeployError, context: ApplyContext
) -> tuple[Function, DeployError]:
    """Redeploy the previous version, if it was serving and its archive is still on this machine."""
    archive = context.previous_archives.get(read_ownership(live.tags).code_digest or "")
    if live.status != Status.READY or archive is None or not archive.is_file():
        return function, failure
    restored = _rollback(live, archive, context)
    if restored is None:
        return function, failure
    message = f"{failure.message} The previous version serves again."
    return restored, DeployError(message, code=failure.code, hint=failure.hint)


def _rollback(live: Function, archive: Path, context: ApplyContext) -> Function | None:
    """Redeploy ``live`` as it was observed, from ``archive``.

    After a failed deploy Scaleway keeps the old version serving for 24 hours and then removes both versions.
    Secrets keep their new values, because the API does not return the old ones. The function gets its old digest
    back, so that the next plan deploys the change again.

    Returns:
        The function; ``None`` when this deploy failed too.

    Raises:
        DeployInterrupted: The deploy was interrupted.
    """
    on_step = context.step_callback(live.name)
    on_step("restoring the previous version")
    try:
        _upload_archive(live.id, archive, context)
        body = _previous_settings(live)
        updated = context.limiter.call(lambda: context.api.functions.update(live.id, body))
        restored = wait_for_function(context.api, updated, context.limiter, on_step)
    except DeployInterrupted:
        raise
    except FnkitError:
        return None
    return restored if restored.status == Status.READY else None


def _previous_settings(live: Function) -> UpdateFunction:
    fields = {name: getattr(live, name) for name in FunctionFields.__struct_fields__}
    del fields["secret_environment_variables"]  # a response has hashes in place of the values
    texts = {"description": live.description or "", "private_network_id": live.private_network_id or ""}
    return UpdateFunction(**{**fields, **texts}, redeploy=True)


def _result_status(change: FunctionChange, function: Function | None, failure: FnkitError | None) -> str:
    if function is not None:
        return function.status
    return "deleted" if change.action is Action.DELETE and failure is None else "unknown"
