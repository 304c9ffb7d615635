"""Cascading deletion: the crons, domains, tokens and triggers of a function or namespace are deleted with it.

Call these functions in the transaction that changes the function or namespace itself.
"""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.records import transition

__all__ = ["delete_attached_resources", "delete_tokens", "mark_attached_resources_deleting", "mark_tokens_deleting"]


def mark_attached_resources_deleting(store: Store, function_id: str) -> None:
    """Mark the crons, domains, tokens and triggers of a function as ``deleting``."""
    for cron in store.crons.all(function_id=function_id):
        if cron.status is not Status.DELETING:
            store.crons.update(transition(cron, Status.DELETING))
    for domain in store.domains.all(function_id=function_id):
        if domain.status is not Status.DELETING:
            store.domains.update(transition(domain, Status.DELETING, routed=False, error_message=None))
    mark_tokens_deleting(store, function_id=function_id)
    for trigger in store.triggers.all(function_id=function_id):
        if trigger.status is not Status.DELETING:
            store.triggers.update(transition(trigger, Status.DELETING, error_message=None))


def delete_attached_resources(store: Store, function_id: str) -> None:
    """Delete the crons, domains, tokens and triggers of a function, and their deliveries."""
    for cron in store.crons.all(function_id=function_id):
        store.deliveries.delete_by_source(cron.id)
        store.crons.delete(cron.id)
    for domain in store.domains.all(function_id=function_id):
        store.domains.delete(domain.id)
    delete_tokens(store, function_id=function_id)
    for trigger in store.triggers.all(function_id=function_id):
        store.deliveries.delete_by_source(trigger.id)
        store.triggers.delete(trigger.id)


def mark_tokens_deleting(store: Store, **scope: str) -> None:
    """Mark the tokens of a function or namespace as ``deleting``.

    The gateway need not be notified, because the functions that the tokens grant access to are no longer served.

    Args:
        store: The store.
        **scope: ``function_id`` or ``namespace_id``.
    """
    for token in store.tokens.all(**scope):
        if token.status is not Status.DELETING:
            store.tokens.update(transition(token, Status.DELETING))


def delete_tokens(store: Store, **scope: str) -> None:
    """Delete the tokens of a function or namespace.

    Args:
        store: The store.
        **scope: ``function_id`` or ``namespace_id``.
    """
    for token in store.tokens.all(**scope):
        store.tokens.delete(token.id)
