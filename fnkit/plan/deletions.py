"""What a plan deletes, and which of its deletions look like a rename. Pure.

A plan with deletions is applied only after a confirmation (``docs/deploying.md``).
"""

from __future__ import annotations

from collections.abc import Sequence

from fnkit.contract.resources import Function
from fnkit.plan.model import Action, Change, CronChange, DomainChange, FunctionChange, Plan, TriggerChange
from fnkit.plan.ownership import read_ownership
from fnkit.plan.state import DesiredFunction


def deletions(plan: Plan) -> tuple[Change, ...]:
    """Return the changes after which something is gone: namespaces, functions, crons, domains and triggers.

    A function that is replaced counts, since its tokens and logs go. Not included are replaced triggers and
    domains, and surplus resources of one name, left over from an interrupted deploy, of which one is kept.
    """
    kept = {_identity(change) for change in plan.changes if change.action is not Action.DELETE}
    return tuple(
        change
        for change in plan.changes
        if (change.action is Action.DELETE and _identity(change) not in kept)
        or (change.action is Action.REPLACE and isinstance(change, FunctionChange))
    )


def _identity(change: Change) -> tuple[str, str, str]:
    function = change.function if isinstance(change, CronChange | DomainChange | TriggerChange) else ""
    return str(change.__struct_config__.tag), function, change.name


def describe_renames(gone: Sequence[Function], new: Sequence[DesiredFunction]) -> tuple[str, ...]:
    """Return a sentence for each new function that is one of the deleted ones under another name.

    It is if its code is the same, or its handler, or if both are the only ones of their file.

    Args:
        gone: Live functions that the plan deletes.
        new: Declared functions that the plan creates.
    """
    notes: list[str] = []
    remaining = list(gone)
    for wanted in new:
        old = _renamed_from(wanted, remaining, new)
        if old is None:
            continue
        remaining.remove(old)
        notes.append(
            f"{wanted.name} looks like {old.name} under a new name. Its URL changes, and {old.domain_name} stops "
            f'answering; name="{old.name}" keeps it.'
        )
    return tuple(notes)


def _renamed_from(
    wanted: DesiredFunction, gone: Sequence[Function], new: Sequence[DesiredFunction]
) -> Function | None:
    for same in (
        [one for one in gone if read_ownership(one.tags).code_digest == wanted.code],
        [one for one in gone if one.handler == wanted.settings.handler],
    ):
        if len(same) == 1:
            return same[0]
    file = _handler_file(wanted.settings.handler)
    in_file = [one for one in gone if _handler_file(one.handler) == file]
    is_only_one = sum(_handler_file(one.settings.handler) == file for one in new) == 1
    return in_file[0] if is_only_one and len(in_file) == 1 else None


def _handler_file(handler: str) -> str:
    return handler.rpartition(".")[0]
