"""What hangs on a function and goes with it: its crons, domains and triggers.

Both steps belong into the transaction that does the same to the function.
"""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.platform.records.transitions import moved
from fnkit.platform.store.database import Store

__all__ = ["begin_removal_of_dependants", "forget_dependants"]


def begin_removal_of_dependants(store: Store, function_id: str) -> None:
    """Mark everything that hangs on a function as ``deleting``."""
    for cron in store.crons.every(function_id=function_id):
        if cron.status is not Status.DELETING:
            store.crons.update(moved(cron, Status.DELETING))
    for domain in store.domains.every(function_id=function_id):
        if domain.status is not Status.DELETING:
            store.domains.update(moved(domain, Status.DELETING, routed=False, error_message=None))
    for trigger in store.triggers.every(function_id=function_id):
        if trigger.status is not Status.DELETING:
            store.triggers.update(moved(trigger, Status.DELETING, error_message=None))


def forget_dependants(store: Store, function_id: str) -> None:
    """Remove everything that hangs on a function, with what it fired."""
    for cron in store.crons.every(function_id=function_id):
        store.deliveries.drop(cron.id)
        store.crons.delete(cron.id)
    for domain in store.domains.every(function_id=function_id):
        store.domains.delete(domain.id)
    for trigger in store.triggers.every(function_id=function_id):
        store.deliveries.drop(trigger.id)
        store.triggers.delete(trigger.id)
