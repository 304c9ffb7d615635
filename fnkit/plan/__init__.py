"""Compares the desired state with the observed one and returns a plan. Pure: no I/O.

A plan is self-contained: applying it reads nothing else.
"""

from fnkit.plan.changes import (
    Action,
    Change,
    ChildChange,
    CronChange,
    DomainChange,
    FunctionChange,
    NamespaceChange,
    Plan,
    Summary,
    TriggerChange,
    TriggerSettings,
)
from fnkit.plan.desired import (
    Desired,
    DesiredCron,
    DesiredFunction,
    DesiredNamespace,
    DesiredTrigger,
    desired_state,
)
from fnkit.plan.destruction import plan_destroy
from fnkit.plan.observed import LiveChildren, Observed, SecretVerdicts
from fnkit.plan.planning import make_plan, undecided_children

__all__ = [
    "Action",
    "Change",
    "ChildChange",
    "CronChange",
    "Desired",
    "DesiredCron",
    "DesiredFunction",
    "DesiredNamespace",
    "DesiredTrigger",
    "DomainChange",
    "FunctionChange",
    "LiveChildren",
    "NamespaceChange",
    "Observed",
    "Plan",
    "SecretVerdicts",
    "Summary",
    "TriggerChange",
    "TriggerSettings",
    "desired_state",
    "make_plan",
    "plan_destroy",
    "undecided_children",
]
