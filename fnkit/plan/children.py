"""Compares the crons, domains and triggers of one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec import UnsetType

from fnkit.contract.enums import Status
from fnkit.contract.resources import Cron, Domain, Function, Trigger
from fnkit.plan.changes import Action, ChildChange, CronChange, DomainChange, TriggerChange, TriggerSettings
from fnkit.plan.desired import DesiredCron, DesiredFunction, DesiredTrigger
from fnkit.plan.observed import LiveChildren
from fnkit.plan.tags import child_hash, read_ownership

__all__ = ["new_children", "plan_children"]

Wanted = TypeVar("Wanted")
Live = TypeVar("Live", Cron, Domain, Trigger)


def new_children(wanted: DesiredFunction) -> list[ChildChange]:
    """Return the changes that create all resources of a function that does not exist yet."""
    new = ("new",)
    return [
        *(_cron(Action.CREATE, wanted.name, cron, None, new) for cron in wanted.crons),
        *(_domain(Action.CREATE, wanted.name, hostname, None, new) for hostname in wanted.domains),
        *(_trigger(Action.CREATE, wanted.name, trigger, None, new) for trigger in wanted.triggers),
    ]


def plan_children(
    wanted: DesiredFunction, live: Function, found: LiveChildren
) -> tuple[list[ChildChange], list[str]]:
    """Compare the declared resources of a function with the live ones.

    These resources have no tags. The function's own tags record a hash of each one that fnkit created
    (``fnkit.plan.ownership``). A live resource with a declared name is taken to be the declared one; one that is
    recorded and no longer declared is deleted; any other is foreign.

    Returns:
        The changes, and descriptions of the foreign resources.
    """
    name, owned = wanted.name, read_ownership(live.tags).children
    privacy_changes = live.privacy != wanted.settings.privacy
    crons = _match(
        ("cron", name, owned),
        {cron.name: cron for cron in wanted.crons},
        found.crons,
        compare=lambda cron, one: _compare_cron(name, cron, one),
        create=lambda cron: _cron(Action.CREATE, name, cron, None, ("new",)),
        drop=lambda one, why: CronChange(
            action=Action.DELETE, function=name, name=one.name or "", id=one.id, reasons=(why,)
        ),
    )
    domains = _match(
        ("domain", name, owned),
        {hostname: hostname for hostname in wanted.domains},
        found.domains,
        compare=lambda hostname, one: _compare_domain(name, hostname, one),
        create=lambda hostname: _domain(Action.CREATE, name, hostname, None, ("new",)),
        drop=lambda one, why: _domain(Action.DELETE, name, one.hostname, one.id, (why,)),
    )
    triggers = _match(
        ("trigger", name, owned),
        {trigger.name: trigger for trigger in wanted.triggers},
        found.triggers,
        compare=lambda trigger, one: _compare_trigger(name, trigger, one, privacy_changes=privacy_changes),
        create=lambda trigger: _trigger(Action.CREATE, name, trigger, None, ("new",)),
        drop=lambda one, why: TriggerChange(
            action=Action.DELETE, function=name, name=one.name, id=one.id, reasons=(why,)
        ),
    )
    changes = [change for kind in (crons, domains, triggers) for change in kind[0]]
    return changes, [stranger for kind in (crons, domains, triggers) for stranger in kind[1]]


def _match(
    whose: tuple[str, str, frozenset[str]],
    declared: Mapping[str, Wanted],
    live: Iterable[Live],
    *,
    compare: Callable[[Wanted, Live], ChildChange],
    create: Callable[[Wanted], ChildChange],
    drop: Callable[[Live, str], ChildChange],
) -> tuple[list[ChildChange], list[str]]:
    """Pair declared and live resources by name.

    Names are not unique in the API. Of several live resources with one name the first is kept and the others, left
    over from an interrupted deploy, are deleted.
    """
    kind, function, owned = whose
    matched: set[str] = set()
    changes: list[ChildChange] = []
    foreign: list[str] = []
    for one in live:
        name = _name(one)
        if one.status == Status.DELETING:
            continue
        if name in declared and name not in matched:
            matched.add(name)
            changes.append(compare(declared[name], one))
        elif name in declared:
            changes.append(drop(one, "duplicate name"))
        elif child_hash(kind, name) in owned:
            changes.append(drop(one, "no longer in the code"))
        else:
            foreign.append(f"{kind} {name or one.id} of {function}")
    changes += [create(item) for name, item in declared.items() if name not in matched]
    return changes, foreign


def _name(one: Cron | Domain | Trigger) -> str:
    return one.hostname if isinstance(one, Domain) else one.name or ""


def _compare_cron(function: str, wanted: DesiredCron, live: Cron) -> CronChange:
    reasons = []
    if live.schedule != wanted.schedule:
        reasons.append(f"schedule {live.schedule} → {wanted.schedule}")
    if live.args != dict(wanted.args):
        reasons.append("args")
    if live.status == Status.ERROR:
        reasons.append("status is error")
    action = Action.UPDATE if reasons else Action.KEEP
    return _cron(action, function, wanted, live.id, tuple(reasons))


def _compare_domain(function: str, hostname: str, live: Domain) -> DomainChange:
    if live.status == Status.ERROR:
        reason = f"status is error: {live.error_message or 'no reason given'}"
        return _domain(Action.REPLACE, function, hostname, live.id, (reason,))
    return _domain(Action.KEEP, function, hostname, live.id, ())


def _compare_trigger(
    function: str, wanted: DesiredTrigger, live: Trigger, *, privacy_changes: bool
) -> TriggerChange:
    """Compare a trigger.

    The API cannot change a trigger's source, and a trigger stops working when its function's privacy changes. Both
    need a replacement.
    """
    live_settings = _listens_to(live)
    if live_settings is None or (
        live_settings.source,
        live_settings.address,
        live_settings.account,
        live_settings.project_id,
        live_settings.region,
    ) != (
        wanted.settings.source,
        wanted.settings.address,
        wanted.settings.account,
        wanted.settings.project_id,
        wanted.settings.region,
    ):
        reason = f"its source changes to {wanted.settings.address}"
        return _trigger(Action.REPLACE, function, wanted, live.id, (reason,))
    if privacy_changes:
        return _trigger(Action.REPLACE, function, wanted, live.id, ("its function's privacy changes",))
    if live_settings.description != wanted.settings.description:
        return _trigger(Action.UPDATE, function, wanted, live.id, ("description",))
    return _trigger(Action.KEEP, function, wanted, live.id, ())


def _listens_to(live: Trigger) -> TriggerSettings | None:
    """Return the settings of a live trigger; ``None`` for a kind of source that projects cannot declare."""
    queue, nats = live.scw_sqs_config, live.scw_nats_config
    if queue is not None and not isinstance(queue, UnsetType):
        return TriggerSettings(
            source="sqs",
            address=queue.queue,
            description=live.description,
            account="",
            project_id=queue.mnq_project_id,
            region=queue.mnq_region,
        )
    if nats is not None and not isinstance(nats, UnsetType):
        return TriggerSettings(
            source="nats",
            address=nats.subject,
            description=live.description,
            account=nats.mnq_nats_account_id,
            project_id=nats.mnq_project_id,
            region=nats.mnq_region,
        )
    return None


def _cron(
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


def _domain(
    action: Action, function: str, hostname: str, domain_id: str | None, reasons: tuple[str, ...]
) -> DomainChange:
    return DomainChange(action=action, function=function, name=hostname, id=domain_id, reasons=reasons)


def _trigger(
    action: Action, function: str, trigger: DesiredTrigger, trigger_id: str | None, reasons: tuple[str, ...]
) -> TriggerChange:
    return TriggerChange(
        action=action,
        function=function,
        name=trigger.name,
        id=trigger_id,
        reasons=reasons,
        settings=trigger.settings,
    )
