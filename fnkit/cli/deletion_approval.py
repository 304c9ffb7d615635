"""Asks before a plan deletes anything. Without a terminal the answer is ``--yes``, or nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fnkit.deploy.target import function_url
from fnkit.plan import Change, CronChange, DomainChange, FunctionChange, Plan, TriggerChange, deletions

if TYPE_CHECKING:
    from fnkit.cli.deploy_progress import DeployProgress
    from fnkit.cli.output import Output
    from fnkit.contract.platform import PlatformInfo


def approve_deletions(
    plan: Plan, info: PlatformInfo | None, output: Output, progress: DeployProgress, *, yes: bool
) -> bool:
    """Return whether a plan may be applied: it deletes nothing, or the user confirms it.

    Args:
        plan: The plan.
        info: Description of the local platform, for URLs; ``None`` for Scaleway.
        output: Where to ask.
        progress: Hidden while the question is shown.
        yes: Whether ``--yes`` was given.

    Raises:
        UsageError: ``confirmation-needed``, without a terminal and without ``--yes``.
    """
    gone = deletions(plan)
    if not gone:
        return True
    with progress.paused():
        return output.confirm(_question(plan, gone, info), yes=yes)


def _question(plan: Plan, gone: tuple[Change, ...], info: PlatformInfo | None) -> str:
    lines = [f"This deletes in {plan.namespace} ({plan.region}, {plan.api_url}):"]
    lines += [f"  {_describe(change, plan, info)}" for change in gone]
    return "\n".join([*lines, *plan.renames, "Continue?"])


def _describe(change: Change, plan: Plan, info: PlatformInfo | None) -> str:
    kind = str(change.__struct_config__.tag)
    if isinstance(change, CronChange | DomainChange | TriggerChange):
        return f"{kind} {change.name} of {change.function}"
    if not isinstance(change, FunctionChange) or not change.domain:
        return f"{kind} {change.name}"
    url = function_url(info, change.domain, region=plan.region, namespace=plan.namespace, function=change.name)
    return f"{kind} {change.name}  {url}"
