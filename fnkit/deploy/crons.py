"""Makes the crons beneath one function."""

from __future__ import annotations

from fnkit.client.api import FunctionsApi
from fnkit.contract.resources import Cron
from fnkit.deploy import requests
from fnkit.deploy.pacing import Pace
from fnkit.errors import NotFoundError
from fnkit.plan.changes import Action, CronChange

__all__ = ["apply_crons"]


def apply_crons(
    api: FunctionsApi, pace: Pace, function_id: str, changes: tuple[CronChange, ...]
) -> tuple[str, ...]:
    """Make the crons so; return the ids of those that stay. Raises ``ApiError``.

    What leaves goes first, so that a schedule that moved from one name to another never fires twice.
    """
    for change in changes:
        if change.action is Action.DELETE and change.id is not None:
            _delete(api, pace, change.id)
    return tuple(_apply(api, pace, function_id, change) for change in changes if change.action is not Action.DELETE)


def _apply(api: FunctionsApi, pace: Pace, function_id: str, change: CronChange) -> str:
    cron_id = change.id
    if change.action is Action.KEEP and cron_id is not None:
        return cron_id
    if change.action is Action.UPDATE and cron_id is not None:
        body = requests.update_cron(change)
        return pace.ask(lambda: api.crons.update(cron_id, body), repeatable=True).id
    return _create(api, pace, function_id, change).id


def _create(api: FunctionsApi, pace: Pace, function_id: str, change: CronChange) -> Cron:
    """Create the cron. A try whose answer was lost may have made it: names are not unique here, so look first."""
    body = requests.create_cron(change, function_id)
    tried = False

    def create() -> Cron:
        nonlocal tried
        if tried:
            for cron in api.crons.list(function_id):
                if cron.name == change.name:
                    return cron
        tried = True
        return api.crons.create(body)

    return pace.ask(create, repeatable=True)


def _delete(api: FunctionsApi, pace: Pace, cron_id: str) -> None:
    try:
        pace.ask(lambda: api.crons.delete(cron_id), repeatable=True)
    except NotFoundError:
        return
