"""Cascading deletion: the crons, domains, tokens and triggers of a function or namespace are deleted with it.

Call these functions in the transaction that changes the function or namespace itself.
"""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.platform.records.transitions import moved
from fnkit.platform.store.database import Store

__all__ = ["begin_removal_of_dependants", "begin_removal_of_tokens", "forget_dependants", "forget_tokens"]


def begin_removal_of_dependants(store: Store, function_id: str) -> None:
    """Mark the crons, domains, tokens and triggers of a function as ``deleting``."""
    for cron in store.crons.every(function_id=function_id):
        if cron.status is not Status.DELETING:
            store.crons.update(moved(cron, Status.DELETING))
    for domain in store.domains.every(function_id=function_id):
        if domain.status is not Status.DELETING:
            store.domains.update(moved(domain, Status.DELETING, routed=False, error_message=None))
    begin_removal_of_tokens(store, function_id=function_id)
    for trigger in store.triggers.every(function_id=function_id):
        if trigger.status is not Status.DELETING:
            store.triggers.update(moved(trigger, Status.DELETING, error_message=None))


def forget_dependants(store: Store, function_id: str) -> None:
    """Delete the crons, domains, tokens and triggers of a function, and their deliveries."""
    for cron in store.crons.every(function_id=function_id):
        store.deliveries.drop(cron.id)
        store.crons.delete(cron.id)
    for domain in store.domains.every(function_id=function_id):
        store.domains.delete(domain.id)
    forget_tokens(store, function_id=function_id)
    for trigger in store.triggers.every(function_id=function_id):
        store.deliveries.drop(trigger.id)
        store.triggers.delete(trigger.id)


def begin_removal_of_tokens(store: Store, **scope: str) -> None:
    """Mark the tokens of a function or namespace as ``deleting``.

    The gateway need not be notified, because the functions that the tokens grant access to are no longer served.

    Args:
        store: The store.
        **scope: ``function_id`` or ``namespace_id``.
    """
    for token in store.tokens.every(**scope):
        if token.status is not Status.DELETING:
            store.tokens.update(moved(token, Status.DELETING))


def forget_tokens(store: Store, **scope: str) -> None:
    """Delete the tokens of a function or namespace.

    Args:
        store: The store.
        **scope: ``function_id`` or ``namespace_id``.
    """
    for token in store.tokens.every(**scope):
        store.tokens.delete(token.id)
