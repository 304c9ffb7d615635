"""Compares the declared settings, functions, crons, domains and triggers of a namespace with the live ones.

The API treats null and absent fields as "unchanged". Settings are therefore always complete and compared as a
whole: a setting removed from the code is compared, and written, as its documented default.
"""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.contract.preloading import wants_preload
from fnkit.contract.resources import Function
from fnkit.contract.runtimes import find_runtime
from fnkit.plan.changes import Action, Change, ChildChange, FunctionChange, SecretChanges
from fnkit.plan.children import new_children, plan_children
from fnkit.plan.comparing import code_reason, function_reasons, merged_tags, secret_changes, secret_reasons
from fnkit.plan.desired import DesiredFunction
from fnkit.plan.observed import Observed, SecretVerdicts
from fnkit.plan.tags import LINKS_HALF, digest_of, is_ours, read_ownership

__all__ = ["drop_function", "plan_function"]


def plan_function(
    wanted: DesiredFunction, observed: Observed, verdicts: SecretVerdicts
) -> tuple[list[Change], list[str]]:
    """Compare one function with its live counterpart.

    Returns:
        The changes, the function's own first, and descriptions of foreign resources attached to the function.
    """
    live = observed.function(wanted.name)
    if live is None:
        return _created(wanted, Action.CREATE, ("new",)), []
    if _language(live.runtime) != _language(wanted.settings.runtime):
        reason = f"runtime {live.runtime} → {wanted.settings.runtime}: a function cannot change its language"
        return _created(wanted, Action.REPLACE, (reason,), live), []
    found = observed.children.get(live.id)
    children, foreign = ([], []) if found is None else plan_children(wanted, live, found)
    secrets = secret_changes(live.secret_environment_variables, wanted.secrets, verdicts)
    tags = merged_tags(live.tags, wanted.tags)
    deployed = read_ownership(live.tags).code
    code_changed = deployed != wanted.code
    reasons = [code_reason(observed.slices.get(deployed or ""), wanted.files)] if code_changed else []
    reasons += _reasons(wanted, live, secrets, tags)
    if not reasons and _links_differ(wanted, live, children):
        reasons.append(f"its {_kinds(children) or 'resources'} change")
    change = FunctionChange(
        action=Action.UPDATE if reasons else Action.KEEP,
        name=wanted.name,
        id=live.id,
        reasons=tuple(reasons),
        settings=wanted.settings,
        secrets=secrets,
        tags=tags,
        code=wanted.code,
        archive=wanted.archive if code_changed or live.status != Status.READY else None,
        declared=wanted.declared,
        live_links=read_ownership(live.tags).live_half if found is None else None,
    )
    return [change, *children], foreign


def drop_function(live: Function, reason: str) -> FunctionChange:
    """Return the deletion of a live function. The API deletes its crons, domains and triggers with it."""
    return FunctionChange(action=Action.DELETE, name=live.name, id=live.id, reasons=(reason,))


def _created(
    wanted: DesiredFunction, action: Action, reasons: tuple[str, ...], live: Function | None = None
) -> list[Change]:
    function = FunctionChange(
        action=action,
        name=wanted.name,
        id=live.id if live else None,
        reasons=reasons,
        settings=wanted.settings,
        secrets=SecretChanges(write=tuple(sorted(wanted.secrets))),
        tags=merged_tags(live.tags, wanted.tags) if live else wanted.tags,
        code=wanted.code,
        archive=wanted.archive,
        declared=wanted.declared,
    )
    return [function, *new_children(wanted)]


def _reasons(
    wanted: DesiredFunction,
    live: Function,
    secrets: SecretChanges,
    tags: tuple[str, ...],
) -> list[str]:
    reasons = function_reasons(live, wanted.settings)
    reasons += secret_reasons(live.secret_environment_variables, secrets)
    # fnkit's own tags are rewritten with any other change. They are no reason for an update by themselves.
    if {tag for tag in tags if not is_ours(tag)} != {tag for tag in live.tags if not is_ours(tag)}:
        reasons.append("tags")
    if wants_preload(tags) != wants_preload(live.tags):
        reasons.append(f"preload {'off' if wants_preload(live.tags) else 'on'}")
    if live.status != Status.READY:
        reasons.append(f"status is {live.status}" + (f": {live.error_message}" if live.error_message else ""))
    return reasons


def _links_differ(wanted: DesiredFunction, live: Function, children: list[ChildChange]) -> bool:
    """Return whether ``fnkit.links`` must be rewritten: a resource changes, or was recreated outside fnkit.

    A recreated resource has another id, so the live half of the recorded hash no longer matches. This is only
    checked when the resources were fetched (``changes`` is not empty).
    """
    links = read_ownership(live.tags).links
    if links is None or links[:LINKS_HALF] != wanted.declared:
        return True
    if any(change.action is not Action.KEEP for change in children):
        return True
    ids = sorted(change.id for change in children if change.id is not None)
    return bool(children) and links[LINKS_HALF:] != digest_of(ids)


def _kinds(children: list[ChildChange]) -> str:
    """Name the kinds of resources that change, for example ``crons and domains``."""
    changed = {f"{change.__struct_config__.tag}s" for change in children if change.action is not Action.KEEP}
    return " and ".join(sorted(changed))


def _language(runtime: str) -> str:
    row = find_runtime(runtime)
    return row.language if row else runtime.rstrip("0123456789")
