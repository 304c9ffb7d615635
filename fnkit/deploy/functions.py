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
from fnkit.deploy.archives import Archives, send_archive
from fnkit.deploy.children import apply_children
from fnkit.deploy.events import Report, Step
from fnkit.deploy.pacing import Pace
from fnkit.deploy.restoring import restore
from fnkit.deploy.results import FunctionResult
from fnkit.deploy.waiting import until_function_gone, until_function_settled
from fnkit.errors import ConflictError, DeployError, FnkitError, NotFoundError
from fnkit.plan.changes import Action, ChildChange, FunctionChange, FunctionSettings
from fnkit.plan.tags import read_ownership

__all__ = ["FunctionWork", "apply_function"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionWork:
    """What applying function changes needs. Shared by all threads; ``repr`` omits the secrets.

    Attributes:
        archives: Zip files by content digest.
        previous_archives: Zip files by slice digest, of slices deployed earlier that are still on this disk.
        secrets: Values by name.
    """

    api: FunctionsApi
    pace: Pace
    archives: Archives
    last_good: Archives
    secrets: Mapping[str, str]
    report: Report
    namespace_id: str

    def __repr__(self) -> str:
        return f"FunctionWork({self.namespace_id})"

    def tell(self, name: str) -> Callable[[str], None]:
        """Return a callback that reports a function's steps."""
        return lambda text: self.report(Step("function", name, text))


def apply_function(
    change: FunctionChange, children: tuple[ChildChange, ...], live: Function | None, work: FunctionWork
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
                _delete(change, work)
                function = None
            case Action.CREATE | Action.UPDATE | Action.REPLACE:
                _let_settle(live, work)
                function, uploaded = _make(change, children, work)
                failure = _verdict(function, work)
                if failure is not None and live is not None:
                    function, failure = _restore(live, function, failure, work)
    except FnkitError as error:
        failure = error
    return FunctionResult(
        name=change.name,
        action=change.action.value,
        status=_status(change, function, failure),
        domain=function.domain_name if function else "",
        digest=change.code,
        seconds=time.monotonic() - started,
        uploaded_bytes=uploaded,
        failure=failure,
    )


def _let_settle(live: Function | None, work: FunctionWork) -> None:
    """Wait for an earlier deploy to end.

    How the API handles a PATCH during a deploy is neither documented nor recorded.
    """
    if live is not None and live.status in (Status.PENDING, Status.CREATING):
        until_function_settled(work.api, live, work.pace, work.tell(live.name))


def _make(change: FunctionChange, children: tuple[ChildChange, ...], work: FunctionWork) -> tuple[Function, int]:
    settings = change.settings
    if settings is None:
        raise DeployError(f"The plan creates {change.name} without settings.", code="bad-plan")
    tell = work.tell(change.name)
    function_id = change.id
    if change.action is Action.REPLACE:
        tell("deleting the old function")
        _delete(change, work)
        function_id = None
    if function_id is None:
        tell("creating")
        function_id = _create(change, settings, work).id
    uploaded = 0
    if change.archive is not None:
        tell("uploading")
        uploaded = send_archive(work.api, function_id, work.archives[change.archive], work.pace)
    child_ids = apply_children(work.api, work.pace, function_id, children)
    tell("deploying")
    body = requests.update_function(change, settings, child_ids, work.secrets)
    updated = work.pace.ask(lambda: work.api.functions.update(function_id, body), repeatable=True)
    return until_function_settled(work.api, updated, work.pace, tell), uploaded


def _create(change: FunctionChange, settings: FunctionSettings, work: FunctionWork) -> Function:
    """Create the function.

    If the response to an earlier attempt was lost, the API reports a conflict; the function is then looked up by
    name.
    """
    body = requests.create_function(change, settings, work.namespace_id)

    def create() -> Function:
        try:
            return work.api.functions.create(body)
        except ConflictError:
            found = _find_own(body, work)
            if found is None:
                raise
            return found

    return work.pace.ask(create, repeatable=True)


def _find_own(body: CreateFunction, work: FunctionWork) -> Function | None:
    """Return the live function that an earlier attempt of this request created.

    The owner tags must match, so that a function of another owner still raises the conflict.
    """
    for function in work.api.functions.list(work.namespace_id):
        if function.name == body.name:
            return function if set(body.tags or ()) <= set(function.tags) else None
    return None


def _delete(change: FunctionChange, work: FunctionWork) -> None:
    function_id = change.id
    if function_id is None:
        return
    work.tell(change.name)("deleting")
    try:
        work.pace.ask(lambda: work.api.functions.delete(function_id), repeatable=True)
    except NotFoundError:
        return
    until_function_gone(work.api, function_id, change.name, work.pace)


def _verdict(function: Function, work: FunctionWork) -> DeployError | None:
    if function.status == Status.READY:
        return None
    reason = function.error_message or f"its status is {function.status}"
    is_local = work.api.endpoint.loopback
    return DeployError(
        f"{function.name} was not deployed: {reason}.",
        code="function-in-error",
        hint="`fnkit platform logs` shows the output of its build."
        if is_local
        else "The output of its build is in Cockpit's logs.",
    )


def _restore(
    live: Function, function: Function, failure: DeployError, work: FunctionWork
) -> tuple[Function, DeployError]:
    """Redeploy the previous version, if it was serving and its archive is still on this machine."""
    archive = work.last_good.get(read_ownership(live.tags).code or "")
    if live.status != Status.READY or archive is None or not archive.is_file():
        return function, failure
    restored = restore(work.api, work.pace, live, archive, work.tell(live.name))
    if restored is None:
        return function, failure
    message = f"{failure.message} The previous version serves again."
    return restored, DeployError(message, code=failure.code, hint=failure.hint)


def _status(change: FunctionChange, function: Function | None, failure: FnkitError | None) -> str:
    if function is not None:
        return function.status
    return "deleted" if change.action is Action.DELETE and failure is None else "unknown"
