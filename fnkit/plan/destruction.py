"""What destroying a project's stage would delete: what it owns, and nothing else."""

from __future__ import annotations

from fnkit.plan.changes import Action, Change, NamespaceChange, Plan
from fnkit.plan.functions import drop_function
from fnkit.plan.observed import Observed
from fnkit.plan.tags import read_ownership

__all__ = ["plan_destroy"]


def plan_destroy(
    observed: Observed, *, project: str, stage: str, namespace: str, api_url: str, region: str, project_id: str
) -> Plan:
    """Return the plan that leaves nothing of ours.

    The namespace goes when it is ours and nothing foreign is in it: the API's deletion cascades (decision 13).
    """
    changes: list[Change] = []
    foreign: list[str] = []
    for live in observed.functions:
        if read_ownership(live.tags).belongs_to(project, stage):
            changes.append(drop_function(live, "destroyed"))
        else:
            foreign.append(f"function {live.name}")
    holder = observed.namespace
    notes: tuple[str, ...] = ()
    if holder is not None and read_ownership(holder.tags).belongs_to(project, stage):
        if foreign:
            notes = (f"The namespace {holder.name} stays: it holds functions that are not this project's.",)
        else:
            change = NamespaceChange(action=Action.DELETE, name=holder.name, id=holder.id, reasons=("destroyed",))
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
