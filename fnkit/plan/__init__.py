"""Compares the desired state with the observed one and returns a plan. Pure: no I/O.

A plan is self-contained: applying it reads nothing else.
"""

from fnkit.plan.model import (
    Action,
    AttachedResourceChange,
    Change,
    CronChange,
    CronConfig,
    DomainChange,
    FunctionChange,
    NamespaceChange,
    Plan,
    PlanSummary,
    TriggerChange,
    TriggerConfig,
)
from fnkit.plan.planner import make_plan, plan_destroy, resources_to_fetch
from fnkit.plan.state import (
    AttachedResources,
    DesiredCron,
    DesiredFunction,
    DesiredNamespace,
    DesiredState,
    DesiredTrigger,
    ObservedState,
    SecretMatches,
    desired_state,
)

__all__ = [
    "Action",
    "AttachedResourceChange",
    "AttachedResources",
    "Change",
    "CronChange",
    "CronConfig",
    "DesiredCron",
    "DesiredFunction",
    "DesiredNamespace",
    "DesiredState",
    "DesiredTrigger",
    "DomainChange",
    "FunctionChange",
    "NamespaceChange",
    "ObservedState",
    "Plan",
    "PlanSummary",
    "SecretMatches",
    "TriggerChange",
    "TriggerConfig",
    "desired_state",
    "make_plan",
    "plan_destroy",
    "resources_to_fetch",
]
