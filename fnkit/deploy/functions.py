"""Applies the change of one function."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateFunction
from fnkit.contract.resources import Function
from fnkit.deploy import requests
from fnkit.deploy.archives import ArchivePaths, upload_archive
from fnkit.deploy.children import apply_attached_resources
from fnkit.deploy.events import EventCallback, ResourceStep
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.restoring import rollback
from fnkit.deploy.results import FunctionResult
from fnkit.deploy.waiting import wait_for_function_deletion, wait_for_function
from fnkit.errors import ConflictError, DeployError, FnkitError, NotFoundError
from fnkit.plan.changes import Action, AttachedResourceChange, FunctionChange, FunctionConfig
from fnkit.plan.tags import read_ownership

__all__ = ["ApplyContext", "apply_function"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyContext:
    """What applying function changes needs. Shared by all threads; ``repr`` omits the secrets.

    Attributes:
        archives: Zip files by content digest.
        previous_archives: Zip files by slice digest, of slices deployed earlier that are still on this disk.
        secrets: Values by name.
    """

    api: FunctionsApi
    limiter: AdaptiveLimiter
    archives: ArchivePaths
    previous_archives: ArchivePaths
    secrets: Mapping[str, str]
    report: EventCallback
    namespace_id: str

    def __repr__(self) -> str:
        return f"FunctionWork({self.namespace_id})"

    def step_callback(self, name: str) -> Callable[[str], None]:
        """Return a callback that reports a function's steps."""
        return lambda text: self.report(ResourceStep("function", name, text))


def apply_function(
    change: FunctionChange,
    resource_changes: tuple[AttachedResourceChange, ...],
    live: Function | None,
    context: ApplyContext,
) -> FunctionResult:
    """Apply the change of one function. A failure is part of the result, not raised.

    Args:
        change: The function's change.
        resource_changes: The changes of its crons, domains and triggers.
        live: The function as observed, ``None`` if it does not exist.
        context: The API and shared inputs.
    """
    started = time.monotonic()
    uploaded = 0
    function = live
    failure: FnkitError | None = None
    try:
        match change.action:
            case Action.KEEP:
                pass
            case Action.DELETE:
                _delete_function(change, context)
                function = None
            case Action.CREATE | Action.UPDATE | Action.REPLACE:
                _wait_until_stable(live, context)
                function, uploaded = _deploy_function(change, resource_changes, context)
                failure = _check_ready(function, context)
                if failure is not None and live is not None:
                    function, failure = _try_rollback(live, function, failure, context)
    except FnkitError as error:
        failure = error
    return FunctionResult(
        name=change.name,
        action=change.action.value,
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
    change: FunctionChange, resource_changes: tuple[AttachedResourceChange, ...], context: ApplyContext
) -> tuple[Function, int]:
    settings = change.settings
    if settings is None:
        raise DeployError(f"The plan creates {change.name} without settings.", code="bad-plan")
    tell = context.step_callback(change.name)
    function_id = change.id
    if change.action is Action.REPLACE:
        tell("deleting the old function")
        _delete_function(change, context)
        function_id = None
    if function_id is None:
        tell("creating")
        function_id = _create_function(change, settings, context).id
    uploaded = 0
    if change.archive is not None:
        tell("uploading")
        uploaded = upload_archive(context.api, function_id, context.archives[change.archive], context.limiter)
    child_ids = apply_attached_resources(context.api, context.limiter, function_id, resource_changes)
    tell("deploying")
    body = requests.update_function(change, settings, child_ids, context.secrets)
    updated = context.limiter.call(lambda: context.api.functions.update(function_id, body), idempotent=True)
    return wait_for_function(context.api, updated, context.limiter, tell), uploaded


def _create_function(change: FunctionChange, settings: FunctionConfig, context: ApplyContext) -> Function:
    """Create the function.

    If the response to an earlier attempt was lost, the API reports a conflict; the function is then looked up by
    name.
    """
    body = requests.create_function(change, settings, context.namespace_id)

    def create() -> Function:
        try:
            return context.api.functions.create(body)
        except ConflictError:
            found = _find_created(body, context)
            if found is None:
                raise
            return found

    return context.limiter.call(create, idempotent=True)


def _find_created(body: CreateFunction, context: ApplyContext) -> Function | None:
    """Return the live function that an earlier attempt of this request created.

    The owner tags must match, so that a function of another owner still raises the conflict.
    """
    for function in context.api.functions.list(context.namespace_id):
        if function.name == body.name:
            return function if set(body.tags or ()) <= set(function.tags) else None
    return None


def _delete_function(change: FunctionChange, context: ApplyContext) -> None:
    function_id = change.id
    if function_id is None:
        return
    context.step_callback(change.name)("deleting")
    try:
        context.limiter.call(lambda: context.api.functions.delete(function_id), idempotent=True)
    except NotFoundError:
        return
    wait_for_function_deletion(context.api, function_id, change.name, context.limiter)


def _check_ready(function: Function, context: ApplyContext) -> DeployError | None:
    if function.status == Status.READY:
        return None
    reason = function.error_message or f"its status is {function.status}"
    is_local = context.api.endpoint.is_loopback
    return DeployError(
        f"{function.name} was not deployed: {reason}.",
        code="function-in-error",
        hint="`fnkit platform logs` shows the output of its build."
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
    restored = rollback(context.api, context.limiter, live, archive, context.step_callback(live.name))
    if restored is None:
        return function, failure
    message = f"{failure.message} The previous version serves again."
    return restored, DeployError(message, code=failure.code, hint=failure.hint)


def _result_status(change: FunctionChange, function: Function | None, failure: FnkitError | None) -> str:
    if function is not None:
        return function.status
    return "deleted" if change.action is Action.DELETE and failure is None else "unknown"
