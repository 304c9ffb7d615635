"""Desired × observed → plan.

Laws (``tests/property/test_plan_laws.py``): after applying, planning again keeps everything; deploying A then B
leaves what deploying B leaves; nothing that is not ours is changed or deleted.
"""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.resources import Function
from fnkit.errors import DeployError
from fnkit.plan.changes import Action, Change, NamespaceChange, Plan
from fnkit.plan.comparing import merged_tags, namespace_reasons, secret_changes, secret_reasons
from fnkit.plan.desired import Desired, DesiredFunction
from fnkit.plan.functions import drop_function, plan_function
from fnkit.plan.observed import Observed, SecretVerdicts
from fnkit.plan.tags import read_ownership

__all__ = ["make_plan", "undecided_children"]


def make_plan(
    desired: Desired,
    observed: Observed,
    verdicts: SecretVerdicts,
    *,
    api_url: str,
    region: str,
    project_id: str,
    prune: bool = True,
) -> Plan:
    """Return what would make the desired state live.

    Raises:
        DeployError: a name that the project wants belongs to somebody else (codes ``namespace-not-owned``,
            ``function-not-owned``).
    """
    _check_ownership(desired, observed)
    changes: list[Change] = [_namespace_change(desired, observed, verdicts)]
    foreign: list[str] = []
    for wanted in desired.functions:
        function_changes, strangers = plan_function(wanted, observed, verdicts)
        changes.extend(function_changes)
        foreign.extend(strangers)
    dropped, strangers = _leftovers(desired, observed, prune=prune)
    return Plan(
        api_url=api_url,
        region=region,
        project_id=project_id,
        project=desired.project,
        stage=desired.stage,
        namespace=desired.namespace.name,
        changes=(*changes, *dropped),
        foreign=(*foreign, *strangers),
        notes=desired.notes,
    )


def undecided_children(desired: Desired, observed: Observed) -> tuple[str, ...]:
    """Return the ids of live functions whose lists of crons, domains and triggers planning needs (decision 10).

    A function whose ``fnkit.links`` already says what is declared need not be asked; but triggers are made anew
    when a function changes its privacy, and for that their ids are needed.
    """
    wanted = {function.name: function for function in desired.functions}
    return tuple(
        live.id for live in observed.functions if live.name in wanted and _must_be_asked(live, wanted[live.name])
    )


def _must_be_asked(live: Function, wanted: DesiredFunction) -> bool:
    owner = read_ownership(live.tags)
    if owner.links is None and not owner.children and not (wanted.crons or wanted.domains or wanted.triggers):
        return False  # neither the code nor the platform has anything of ours beneath it
    if wanted.triggers and live.privacy != wanted.settings.privacy:
        return True
    return owner.declared_half != wanted.declared


def _check_ownership(desired: Desired, observed: Observed) -> None:
    namespace = observed.namespace
    if namespace is None:
        return
    owner = read_ownership(namespace.tags)
    if not desired.namespace.shared and not owner.belongs_to(desired.project, desired.stage):
        whose = f"project {owner.project} (stage {owner.stage})" if owner.project else "nobody that fnkit knows"
        raise DeployError(
            f"The namespace {namespace.name} exists already and belongs to {whose}.",
            code="namespace-not-owned",
            hint="Choose another namespace, or share this one: "
            f'namespace = {{ name = "{namespace.name}", shared = true }}',
        )
    for wanted in desired.functions:
        live = observed.function(wanted.name)
        if live is not None and not read_ownership(live.tags).belongs_to(desired.project, desired.stage):
            whose = read_ownership(live.tags).project or "nobody that fnkit knows"
            raise DeployError(
                f"The function {live.name} exists already in {namespace.name} and belongs to {whose}.",
                code="function-not-owned",
                hint="Rename yours with name=…, or delete the other one.",
            )


def _namespace_change(desired: Desired, observed: Observed, verdicts: SecretVerdicts) -> NamespaceChange:
    wanted, live = desired.namespace, observed.namespace
    if live is None:
        secrets = secret_changes((), () if wanted.shared else wanted.secrets, verdicts)
        return NamespaceChange(
            action=Action.CREATE,
            name=wanted.name,
            reasons=("new",),
            settings=wanted.settings,
            secrets=secrets,
        )
    if wanted.shared:
        return NamespaceChange(action=Action.KEEP, name=live.name, id=live.id, reasons=("shared",))
    secrets = secret_changes(live.secret_environment_variables, wanted.secrets, verdicts)
    tags = merged_tags(live.tags, wanted.settings.tags)
    reasons = namespace_reasons(live, wanted.settings)
    reasons += secret_reasons(live.secret_environment_variables, secrets)
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


def _leftovers(desired: Desired, observed: Observed, *, prune: bool) -> tuple[list[Change], list[str]]:
    """Return deletions of our functions that left the code, and what else lives there."""
    changes: list[Change] = []
    foreign: list[str] = []
    wanted = {function.name for function in desired.functions}
    for live in observed.functions:
        if live.name in wanted:
            continue
        if not read_ownership(live.tags).belongs_to(desired.project, desired.stage):
            foreign.append(f"function {live.name}")
        elif prune and not desired.partial:
            changes.append(drop_function(live, "no longer in the code"))
    return changes, foreign
