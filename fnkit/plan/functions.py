"""Compares the declared settings, functions, crons, domains and triggers of a namespace with the live ones.

The API treats null and absent fields as "unchanged". Settings are therefore always complete and compared as a
whole: a setting removed from the code is compared, and written, as its documented default.
"""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.contract.preloading import is_preload_enabled
from fnkit.contract.resources import Function
from fnkit.contract.runtimes import find_runtime
from fnkit.plan.changes import Action, Change, AttachedResourceChange, FunctionChange, SecretDiff
from fnkit.plan.children import new_attached_resources, plan_attached_resources
from fnkit.plan.comparing import code_reason, function_differences, merge_tags, diff_secrets, secret_differences
from fnkit.plan.desired import DesiredFunction
from fnkit.plan.observed import ObservedState, SecretMatches
from fnkit.plan.tags import HASH_LENGTH, hash_parts, is_fnkit_tag, read_ownership

__all__ = ["delete_function", "plan_function"]


def plan_function(
    wanted: DesiredFunction, observed: ObservedState, secret_matches: SecretMatches
) -> tuple[list[Change], list[str]]:
    """Compare one function with its live counterpart.

    Returns:
        The changes, the function's own first, and descriptions of foreign resources attached to the function.
    """
    live = observed.find_function(wanted.name)
    if live is None:
        return _creation_changes(wanted, Action.CREATE, ("new",)), []
    if _runtime_language(live.runtime) != _runtime_language(wanted.settings.runtime):
        reason = f"runtime {live.runtime} → {wanted.settings.runtime}: a function cannot change its language"
        return _creation_changes(wanted, Action.REPLACE, (reason,), live), []
    found = observed.attached_resources.get(live.id)
    children, foreign = ([], []) if found is None else plan_attached_resources(wanted, live, found)
    secrets = diff_secrets(live.secret_environment_variables, wanted.secrets, secret_matches)
    tags = merge_tags(live.tags, wanted.tags)
    deployed = read_ownership(live.tags).code_digest
    code_changed = deployed != wanted.code
    reasons = [code_reason(observed.deployed_slices.get(deployed or ""), wanted.files)] if code_changed else []
    reasons += _change_reasons(wanted, live, secrets, tags)
    if not reasons and _resource_hash_differs(wanted, live, children):
        reasons.append(f"its {_changed_kinds(children) or 'resources'} change")
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
        declared=wanted.declared_hash,
        live_links=read_ownership(live.tags).live_hash if found is None else None,
    )
    return [change, *children], foreign


def delete_function(live: Function, reason: str) -> FunctionChange:
    """Return the deletion of a live function. The API deletes its crons, domains and triggers with it."""
    return FunctionChange(action=Action.DELETE, name=live.name, id=live.id, reasons=(reason,))


def _creation_changes(
    wanted: DesiredFunction, action: Action, reasons: tuple[str, ...], live: Function | None = None
) -> list[Change]:
    function = FunctionChange(
        action=action,
        name=wanted.name,
        id=live.id if live else None,
        reasons=reasons,
        settings=wanted.settings,
        secrets=SecretDiff(write=tuple(sorted(wanted.secrets))),
        tags=merge_tags(live.tags, wanted.tags) if live else wanted.tags,
        code=wanted.code,
        archive=wanted.archive,
        declared=wanted.declared_hash,
    )
    return [function, *new_attached_resources(wanted)]


def _change_reasons(
    wanted: DesiredFunction,
    live: Function,
    secrets: SecretDiff,
    tags: tuple[str, ...],
) -> list[str]:
    reasons = function_differences(live, wanted.settings)
    reasons += secret_differences(live.secret_environment_variables, secrets)
    # fnkit's own tags are rewritten with any other change. They are no reason for an update by themselves.
    if {tag for tag in tags if not is_fnkit_tag(tag)} != {tag for tag in live.tags if not is_fnkit_tag(tag)}:
        reasons.append("tags")
    if is_preload_enabled(tags) != is_preload_enabled(live.tags):
        reasons.append(f"preload {'off' if is_preload_enabled(live.tags) else 'on'}")
    if live.status != Status.READY:
        reasons.append(f"status is {live.status}" + (f": {live.error_message}" if live.error_message else ""))
    return reasons


def _resource_hash_differs(
    wanted: DesiredFunction, live: Function, resource_changes: list[AttachedResourceChange]
) -> bool:
    """Return whether ``fnkit.links`` must be rewritten: a resource changes, or was recreated outside fnkit.

    A recreated resource has another id, so the live half of the recorded hash no longer matches. This is only
    checked when the resources were fetched (``changes`` is not empty).
    """
    links = read_ownership(live.tags).resource_hash
    if links is None or links[:HASH_LENGTH] != wanted.declared_hash:
        return True
    if any(change.action is not Action.KEEP for change in resource_changes):
        return True
    ids = sorted(change.id for change in resource_changes if change.id is not None)
    return bool(resource_changes) and links[HASH_LENGTH:] != hash_parts(ids)


def _changed_kinds(resource_changes: list[AttachedResourceChange]) -> str:
    """Name the kinds of resources that change, for example ``crons and domains``."""
    changed = {
        f"{change.__struct_config__.tag}s" for change in resource_changes if change.action is not Action.KEEP
    }
    return " and ".join(sorted(changed))


def _runtime_language(runtime: str) -> str:
    row = find_runtime(runtime)
    return row.language if row else runtime.rstrip("0123456789")
