"""Plans the removal of a project's stage: everything it owns and nothing else."""

from __future__ import annotations

from fnkit.plan.changes import Action, Change, NamespaceChange, Plan
from fnkit.plan.functions import delete_function
from fnkit.plan.observed import ObservedState
from fnkit.plan.tags import read_ownership

__all__ = ["plan_destroy"]


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
            changes.append(delete_function(live, "destroyed"))
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
