"""One function and what lies beneath it: wanted × live → changes."""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.contract.resources import Cron, Function
from fnkit.contract.runtimes import find_runtime
from fnkit.plan.changes import Action, Change, CronChange, FunctionChange, SecretChanges
from fnkit.plan.comparing import code_reason, function_reasons, merged_tags, secret_changes, secret_reasons
from fnkit.plan.desired import DesiredCron, DesiredFunction
from fnkit.plan.observed import Observed, SecretVerdicts
from fnkit.plan.tags import child_hash, digest_of, is_ours, read_ownership

__all__ = ["drop_function", "plan_function"]


def plan_function(
    wanted: DesiredFunction, observed: Observed, verdicts: SecretVerdicts
) -> tuple[list[Change], list[str]]:
    """Return the changes for one function (itself first), and the foreign things found beneath it."""
    live = observed.function(wanted.name)
    if live is None:
        return _created(wanted, Action.CREATE, ("new",)), []
    if _language(live.runtime) != _language(wanted.settings.runtime):
        reason = f"runtime {live.runtime} → {wanted.settings.runtime}: a function cannot change its language"
        return _created(wanted, Action.REPLACE, (reason,), live), []
    crons = observed.crons.get(live.id)
    cron_changes, foreign = ([], []) if crons is None else _plan_crons(wanted, live, crons)
    secrets = secret_changes(live.secret_environment_variables, wanted.secrets, verdicts)
    tags = merged_tags(live.tags, wanted.tags)
    deployed = read_ownership(live.tags).code
    code_changed = deployed != wanted.code
    reasons = [code_reason(observed.slices.get(deployed or ""), wanted.files)] if code_changed else []
    reasons += _reasons(wanted, live, secrets, tags)
    if not reasons and _links_differ(wanted, live, crons, cron_changes):
        reasons.append("its crons change")
    change = FunctionChange(
        action=Action.UPDATE if reasons else Action.KEEP,
        name=wanted.name,
        id=live.id,
        reasons=tuple(reasons),
        settings=wanted.settings,
        secrets=secrets,
        tags=tags,
        code=wanted.code,
        archive=wanted.archive if code_changed or live.status != Status.READY else None,
        declared=wanted.declared,
    )
    return [change, *cron_changes], foreign


def drop_function(live: Function, reason: str) -> FunctionChange:
    """Return the deletion of a live function; the API takes everything beneath it along."""
    return FunctionChange(action=Action.DELETE, name=live.name, id=live.id, reasons=(reason,))


def _created(
    wanted: DesiredFunction, action: Action, reasons: tuple[str, ...], live: Function | None = None
) -> list[Change]:
    function = FunctionChange(
        action=action,
        name=wanted.name,
        id=live.id if live else None,
        reasons=reasons,
        settings=wanted.settings,
        secrets=SecretChanges(write=tuple(sorted(wanted.secrets))),
        tags=merged_tags(live.tags, wanted.tags) if live else wanted.tags,
        code=wanted.code,
        archive=wanted.archive,
        declared=wanted.declared,
    )
    return [function, *(_cron_change(Action.CREATE, wanted.name, cron, None, ("new",)) for cron in wanted.crons)]


def _reasons(
    wanted: DesiredFunction,
    live: Function,
    secrets: SecretChanges,
    tags: tuple[str, ...],
) -> list[str]:
    reasons = function_reasons(live, wanted.settings)
    reasons += secret_reasons(live.secret_environment_variables, secrets)
    # Our own tags are rewritten with any other change; alone they matter only where ownership moved.
    if {tag for tag in tags if not is_ours(tag)} != {tag for tag in live.tags if not is_ours(tag)}:
        reasons.append("tags")
    if live.status != Status.READY:
        reasons.append(f"status is {live.status}" + (f": {live.error_message}" if live.error_message else ""))
    return reasons


def _links_differ(
    wanted: DesiredFunction, live: Function, crons: tuple[Cron, ...] | None, changes: list[CronChange]
) -> bool:
    """Whether ``fnkit.links`` must be written anew: something beneath changes, or was made again elsewhere."""
    links = read_ownership(live.tags).links
    if any(change.action is not Action.KEEP for change in changes):
        return True
    if links is None:
        return True
    if links[:16] != wanted.declared:
        return True
    if crons is None:
        return False
    names = {cron.name for cron in wanted.crons}
    return links[16:] != digest_of(sorted(cron.id for cron in crons if cron.name in names))


def _plan_crons(
    wanted: DesiredFunction, live: Function, crons: tuple[Cron, ...]
) -> tuple[list[CronChange], list[str]]:
    """Return changes for the crons beneath a function whose list is known.

    A live cron with a declared name is the declared one. Of several with one name the first is kept; the
    others are left behind by a deploy that was cut off, and go.
    """
    ours = read_ownership(live.tags).children
    by_name: dict[str, Cron] = {}
    changes: list[CronChange] = []
    foreign: list[str] = []
    declared = {cron.name: cron for cron in wanted.crons}
    for cron in crons:
        name = cron.name or ""
        if cron.status == Status.DELETING:
            continue
        if name in declared and name not in by_name:
            by_name[name] = cron
            changes.append(_compare_cron(wanted.name, declared[name], cron))
        elif name in declared or child_hash("cron", name) in ours:
            reason = "there are two of that name" if name in declared else "no longer in the code"
            changes.append(
                CronChange(action=Action.DELETE, function=wanted.name, name=name, id=cron.id, reasons=(reason,))
            )
        else:
            foreign.append(f"cron {name or cron.id} of {wanted.name}")
    missing = [cron for name, cron in declared.items() if name not in by_name]
    changes += [_cron_change(Action.CREATE, wanted.name, cron, None, ("new",)) for cron in missing]
    return changes, foreign


def _compare_cron(function: str, wanted: DesiredCron, live: Cron) -> CronChange:
    reasons = []
    if live.schedule != wanted.schedule:
        reasons.append(f"schedule {live.schedule} → {wanted.schedule}")
    if live.args != dict(wanted.args):
        reasons.append("args")
    if live.status == Status.ERROR:
        reasons.append("status is error")
    action = Action.UPDATE if reasons else Action.KEEP
    return _cron_change(action, function, wanted, live.id, tuple(reasons))


def _cron_change(
    action: Action, function: str, cron: DesiredCron, cron_id: str | None, reasons: tuple[str, ...]
) -> CronChange:
    return CronChange(
        action=action,
        function=function,
        name=cron.name,
        id=cron_id,
        reasons=reasons,
        schedule=cron.schedule,
        args=dict(cron.args),
    )


def _language(runtime: str) -> str:
    row = find_runtime(runtime)
    return row.language if row else runtime.rstrip("0123456789")
