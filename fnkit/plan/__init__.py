"""Desired × observed → plan: pure, no I/O. What a plan holds is all that applying it reads."""

from fnkit.plan.changes import Action, Change, CronChange, FunctionChange, NamespaceChange, Plan, Summary
from fnkit.plan.desired import Desired, DesiredCron, DesiredFunction, DesiredNamespace, desired_state
from fnkit.plan.destruction import plan_destroy
from fnkit.plan.observed import Observed, SecretVerdicts
from fnkit.plan.planning import make_plan, undecided_crons

__all__ = [
    "Action",
    "Change",
    "CronChange",
    "Desired",
    "DesiredCron",
    "DesiredFunction",
    "DesiredNamespace",
    "FunctionChange",
    "NamespaceChange",
    "Observed",
    "Plan",
    "SecretVerdicts",
    "Summary",
    "desired_state",
    "make_plan",
    "plan_destroy",
    "undecided_crons",
]
