"""Compares the desired state with the observed one and returns a plan. Pure: no I/O.

A plan is self-contained: applying it reads nothing else.
"""

from fnkit.plan.deletions import deletions
from fnkit.plan.model import (
    Action,
    Change,
    CronChange,
    DomainChange,
    FunctionChange,
    NamespaceChange,
    Plan,
    PlanSummary,
    TriggerChange,
)
from fnkit.plan.planner import make_plan, plan_destroy
from fnkit.plan.state import DesiredState, ObservedState, desired_state

__all__ = [
    "Action",
    "Change",
    "CronChange",
    "DesiredState",
    "DomainChange",
    "FunctionChange",
    "NamespaceChange",
    "ObservedState",
    "Plan",
    "PlanSummary",
    "TriggerChange",
    "deletions",
    "desired_state",
    "make_plan",
    "plan_destroy",
]
