"""Compares the desired state with the observed one and returns a plan. Pure: no I/O.

A plan is self-contained: applying it reads nothing else.
"""

from fnkit.plan.changes import (
    Action,
    Change,
    AttachedResourceChange,
    CronChange,
    DomainChange,
    FunctionChange,
    NamespaceChange,
    Plan,
    PlanSummary,
    TriggerChange,
    TriggerConfig,
)
from fnkit.plan.desired import (
    DesiredState,
    DesiredCron,
    DesiredFunction,
    DesiredNamespace,
    DesiredTrigger,
    desired_state,
)
from fnkit.plan.destruction import plan_destroy
from fnkit.plan.observed import AttachedResources, ObservedState, SecretMatches
from fnkit.plan.planning import make_plan, resources_to_fetch

__all__ = [
    "Action",
    "Change",
    "AttachedResourceChange",
    "CronChange",
    "DesiredState",
    "DesiredCron",
    "DesiredFunction",
    "DesiredNamespace",
    "DesiredTrigger",
    "DomainChange",
    "FunctionChange",
    "AttachedResources",
    "NamespaceChange",
    "ObservedState",
    "Plan",
    "SecretMatches",
    "PlanSummary",
    "TriggerChange",
    "TriggerConfig",
    "desired_state",
    "make_plan",
    "plan_destroy",
    "resources_to_fetch",
]
