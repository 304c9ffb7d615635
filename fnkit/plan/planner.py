"""Makes plans: to reach the desired state, or to delete everything that a project owns.

Invariants, tested by ``tests/property/test_plan_laws.py``: after applying a plan, the next one keeps everything;
deploying A and then B has the same result as deploying B; nothing that fnkit does not own is changed or deleted.
"""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.resources import Function
from fnkit.errors import DeployError
from fnkit.plan import diff
from fnkit.plan.deletions import describe_renames
from fnkit.plan.function_urls import check_referenced_functions, resolve_function_urls
from fnkit.plan.model import Action, Change, NamespaceChange, Plan
from fnkit.plan.ownership import read_ownership
from fnkit.plan.state import DesiredFunction, DesiredState, ObservedState, SecretMatches


def plan_destroy(
    observed: ObservedState, *, project: str, stage: str, namespace: str, api_url: str, region: str, project_id: str
) -> Plan:
    """Return the plan that deletes everything that a project and stage own.

    The namespace is deleted only if it is owned and contains no foreign function, because the API deletes its
    functions with it.
    """
    changes: list[Change] = []
    foreign: list[str] = []
    for live in observed.functions:
        if read_ownership(live.tags).belongs_to(project, stage):
            changes.append(diff.delete_function(live, "destroyed"))
        else:
            foreign.append(f"function {live.name}")
    live_namespace = observed.namespace
    notes: tuple[str, ...] = ()
    if live_namespace is not None and read_ownership(live_namespace.tags).belongs_to(project, stage):
        if foreign:
            notes = (f"The namespace {live_namespace.name} is kept: it contains functions of other owners.",)
        else:
            change = NamespaceChange(
                action=Action.DELETE, name=live_namespace.name, id=live_namespace.id, reasons=("destroyed",)
            )
            changes.append(change)
    return Plan(
        api_url=api_url,
        region=region,
        project_id=project_id,
        project=project,
        stage=stage,
        namespace=namespace,
        changes=tuple(changes),
        foreign=tuple(foreign),
        notes=notes,
    )


def make_plan(
    desired: DesiredState,
    observed: ObservedState,
    secret_matches: SecretMatches,
    *,
    api_url: str,
    region: str,
    project_id: str,
    prune: bool = True,
) -> Plan:
    """Return the plan that makes the desired state live.

    Raises:
        DeployError: A wanted name belongs to another owner (``namespace-not-owned``, ``function-not-owned``).
        UsageError: ``url-of-not-deployed``: a selected function needs the URL of one that does not exist.
    """
    _check_ownership(desired, observed)
    check_referenced_functions(desired, observed)
    changes: list[Change] = [_namespace_change(desired, observed, secret_matches)]
    foreign: list[str] = []
    for wanted in resolve_function_urls(desired, observed, diff.is_recreated):
        function_changes, foreign_resources = diff.plan_function(wanted, observed, secret_matches)
        changes.extend(function_changes)
        foreign.extend(foreign_resources)
    deletions, foreign_resources = _undeclared_functions(desired, observed, prune=prune)
    return Plan(
        api_url=api_url,
        region=region,
        project_id=project_id,
        project=desired.project,
        stage=desired.stage,
        namespace=desired.namespace.name,
        changes=(*changes, *deletions),
        foreign=(*foreign, *foreign_resources),
        notes=desired.notes,
        renames=_find_renames(desired, observed, deletions),
    )


def _find_renames(desired: DesiredState, observed: ObservedState, deletions: list[Change]) -> tuple[str, ...]:
    if not deletions:
        return ()
    deleted = {change.name for change in deletions}
    gone = [live for live in observed.functions if live.name in deleted]
    return describe_renames(gone, [one for one in desired.functions if observed.find_function(one.name) is None])


def resources_to_fetch(desired: DesiredState, observed: ObservedState) -> tuple[str, ...]:
    """Return the ids of live functions whose crons, domains and triggers must be listed for planning.

    Where the declared half of ``fnkit.links`` matches the code, nothing is listed, which saves three requests per
    function. Triggers are an exception when the function's privacy changes: they are replaced, which needs their
    ids.
    """
    wanted = {function.name: function for function in desired.functions}
    return tuple(
        live.id for live in observed.functions if live.name in wanted and _needs_fetch(live, wanted[live.name])
    )


def _needs_fetch(live: Function, wanted: DesiredFunction) -> bool:
    owner = read_ownership(live.tags)
    declared = wanted.crons or wanted.domains or wanted.triggers
    if owner.resource_hash is None and not owner.owned_hashes and not declared:
        return False  # nothing is declared, and nothing was created for this function
    if wanted.triggers and live.privacy != wanted.settings.privacy:
        return True
    return owner.declared_hash != wanted.declared_hash


def _check_ownership(desired: DesiredState, observed: ObservedState) -> None:
    namespace = observed.namespace
    if namespace is None:
        return
    owner = read_ownership(namespace.tags)
    if not desired.namespace.shared and not owner.belongs_to(desired.project, desired.stage):
        owner_name = f"project {owner.project} (stage {owner.stage})" if owner.project else "no fnkit project"
        raise DeployError(
            f"The namespace {namespace.name} already exists and belongs to {owner_name}.",
            code="namespace-not-owned",
            hint="Choose another namespace, or share this one: "
            f'namespace = {{ name = "{namespace.name}", shared = true }}',
        )
    for wanted in desired.functions:
        live = observed.find_function(wanted.name)
        if live is not None and not read_ownership(live.tags).belongs_to(desired.project, desired.stage):
            owner_name = read_ownership(live.tags).project or "no fnkit project"
            raise DeployError(
                f"The function {live.name} already exists in {namespace.name} and belongs to {owner_name}.",
                code="function-not-owned",
                hint="Rename yours with name=…, or delete the existing one.",
            )


def _namespace_change(
    desired: DesiredState, observed: ObservedState, secret_matches: SecretMatches
) -> NamespaceChange:
    wanted, live = desired.namespace, observed.namespace
    if live is None:
        secrets = diff.diff_secrets((), () if wanted.shared else wanted.secrets, secret_matches)
        return NamespaceChange(
            action=Action.CREATE,
            name=wanted.name,
            reasons=("new",),
            settings=wanted.settings,
            secrets=secrets,
        )
    if wanted.shared:
        return NamespaceChange(action=Action.KEEP, name=live.name, id=live.id, reasons=("shared",))
    secrets = diff.diff_secrets(live.secret_environment_variables, wanted.secrets, secret_matches)
    tags = diff.merge_tags(live.tags, wanted.settings.tags)
    reasons = diff.namespace_differences(live, wanted.settings)
    reasons += diff.secret_differences(live.secret_environment_variables, secrets)
    if set(tags) != set(live.tags):
        reasons.append("tags")
    if live.status != Status.READY:
        reasons.append(f"status is {live.status}")
    return NamespaceChange(
        action=Action.UPDATE if reasons else Action.KEEP,
        name=live.name,
        id=live.id,
        reasons=tuple(reasons),
        settings=msgspec.structs.replace(wanted.settings, tags=tags),
        secrets=secrets,
    )


def _undeclared_functions(
    desired: DesiredState, observed: ObservedState, *, prune: bool
) -> tuple[list[Change], list[str]]:
    """Return deletions of owned functions that are no longer declared, and descriptions of foreign functions."""
    changes: list[Change] = []
    foreign: list[str] = []
    wanted = {function.name for function in desired.functions}
    for live in observed.functions:
        if live.name in wanted:
            continue
        if not read_ownership(live.tags).belongs_to(desired.project, desired.stage):
            foreign.append(f"function {live.name}")
        elif prune and not desired.is_partial:
            changes.append(diff.delete_function(live, "no longer in the code"))
    return changes, foreign
