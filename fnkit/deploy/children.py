"""Applies the changes of the namespace, and of a function's crons, domains and triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, assert_never

from fnkit.client.api import FunctionsApi
from fnkit.contract.resources import Cron, Domain, Trigger
from fnkit.deploy import requests
from fnkit.deploy.pacing import Pace
from fnkit.errors import DeployError, NotFoundError
from fnkit.plan.changes import Action, ChildChange, CronChange, DomainChange, TriggerChange

__all__ = ["apply_children"]

Child = TypeVar("Child", Cron, Domain, Trigger)

_GONE_SECONDS = 120.0


def apply_children(
    api: FunctionsApi, pace: Pace, function_id: str, changes: tuple[ChildChange, ...]
) -> tuple[str, ...]:
    """Apply the changes of one function's crons, domains and triggers; return the ids of the remaining ones.

    Deletions come first, so that a schedule moved from one name to another never runs twice.

    Raises:
        ApiError: The API rejected a request.
        DeployError: A deleted resource did not disappear.
    """
    for change in changes:
        if change.action is Action.DELETE and change.id is not None:
            _delete(api, pace, change, change.id)
    return tuple(_apply(api, pace, function_id, change) for change in changes if change.action is not Action.DELETE)


def _apply(api: FunctionsApi, pace: Pace, function_id: str, change: ChildChange) -> str:
    child_id = change.id
    match change.action:
        case Action.KEEP if child_id is not None:
            return child_id
        case Action.UPDATE if child_id is not None:
            return _update(api, pace, change, child_id)
        case Action.REPLACE if child_id is not None:
            _delete(api, pace, change, child_id)
            _wait_until_gone(api, pace, change, child_id)
            return _create(api, pace, function_id, change)
        case _:
            return _create(api, pace, function_id, change)


def _update(api: FunctionsApi, pace: Pace, change: ChildChange, child_id: str) -> str:
    match change:
        case CronChange():
            cron = requests.update_cron(change)
            return pace.ask(lambda: api.crons.update(child_id, cron), repeatable=True).id
        case TriggerChange(settings=settings) if settings is not None:
            trigger = requests.update_trigger(settings)
            return pace.ask(lambda: api.triggers.update(child_id, trigger), repeatable=True).id
        case _:
            raise DeployError(f"The plan updates {change.name}, which cannot be updated.", code="bad-plan")


def _create(api: FunctionsApi, pace: Pace, function_id: str, change: ChildChange) -> str:
    match change:
        case CronChange():
            cron = requests.create_cron(change, function_id)
            return _create_once(
                pace,
                lambda: api.crons.create(cron),
                lambda: [one for one in api.crons.list(function_id) if one.name == change.name],
            )
        case DomainChange():
            domain = requests.create_domain(change, function_id)
            return _create_once(
                pace,
                lambda: api.domains.create(domain),
                lambda: [one for one in api.domains.list(function_id) if one.hostname == change.name],
            )
        case TriggerChange(settings=settings) if settings is not None:
            trigger = requests.create_trigger(change, settings, function_id)
            return _create_once(
                pace,
                lambda: api.triggers.create(trigger),
                lambda: [one for one in api.triggers.list(function_id) if one.name == change.name],
            )
        case TriggerChange():
            raise DeployError(f"The plan creates {change.name} without settings.", code="bad-plan")
        case _:
            assert_never(change)


def _create_once(pace: Pace, create: Callable[[], Child], find: Callable[[], list[Child]]) -> str:
    """Create a resource at most once and return its id.

    A request whose response was lost may have succeeded, and names of these resources are not unique. Every attempt
    but the first therefore looks for the resource by name before creating it.
    """
    tried = False

    def attempt() -> Child:
        nonlocal tried
        if tried and (found := find()):
            return found[0]
        tried = True
        return create()

    return pace.ask(attempt, repeatable=True).id


def _delete(api: FunctionsApi, pace: Pace, change: ChildChange, child_id: str) -> None:
    delete: Callable[[str], object]
    match change:
        case CronChange():
            delete = api.crons.delete
        case DomainChange():
            delete = api.domains.delete
        case TriggerChange():
            delete = api.triggers.delete
        case _:
            assert_never(change)
    try:
        pace.ask(lambda: delete(child_id), repeatable=True)
    except NotFoundError:
        return


def _wait_until_gone(api: FunctionsApi, pace: Pace, change: ChildChange, child_id: str) -> None:
    """Wait until a deleted resource returns 404. Until then its hostname or queue is not free for the new one."""
    get: Callable[[str], object] = api.domains.get if isinstance(change, DomainChange) else api.triggers.get

    def gone() -> bool | None:
        try:
            pace.ask(lambda: get(child_id), repeatable=True)
        except NotFoundError:
            return True
        return None

    max_interval = 0.15 if api.endpoint.loopback else 2.0
    if pace.until(gone, seconds=_GONE_SECONDS, longest_pause=max_interval) is None:
        raise DeployError(f"{change.name} still exists two minutes after its deletion.", code="still-deleting")
