"""Compares the crons, domains and triggers of one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec import UnsetType

from fnkit.contract.enums import Status
from fnkit.contract.resources import Cron, Domain, Function, Trigger
from fnkit.plan.changes import (
    Action,
    AttachedResourceChange,
    CronChange,
    DomainChange,
    TriggerChange,
    TriggerConfig,
)
from fnkit.plan.desired import DesiredCron, DesiredFunction, DesiredTrigger
from fnkit.plan.observed import AttachedResources
from fnkit.plan.tags import owned_hash, read_ownership

__all__ = ["new_attached_resources", "plan_attached_resources"]

DeclaredT = TypeVar("DeclaredT")
LiveT = TypeVar("LiveT", Cron, Domain, Trigger)


def new_attached_resources(wanted: DesiredFunction) -> list[AttachedResourceChange]:
    """Return the changes that create all resources of a function that does not exist yet."""
    new = ("new",)
    return [
        *(_cron_change(Action.CREATE, wanted.name, cron, None, new) for cron in wanted.crons),
        *(_domain_change(Action.CREATE, wanted.name, hostname, None, new) for hostname in wanted.domains),
        *(_trigger_change(Action.CREATE, wanted.name, trigger, None, new) for trigger in wanted.triggers),
    ]


def plan_attached_resources(
    wanted: DesiredFunction, live: Function, live_resources: AttachedResources
) -> tuple[list[AttachedResourceChange], list[str]]:
    """Compare the declared resources of a function with the live ones.

    These resources have no tags. The function's own tags record a hash of each one that fnkit created
    (``fnkit.plan.ownership``). A live resource with a declared name is taken to be the declared one; one that is
    recorded and no longer declared is deleted; any other is foreign.

    Returns:
        The changes, and descriptions of the foreign resources.
    """
    name, owned = wanted.name, read_ownership(live.tags).owned_hashes
    privacy_changes = live.privacy != wanted.settings.privacy
    crons = _match_by_name(
        ("cron", name, owned),
        {cron.name: cron for cron in wanted.crons},
        live_resources.crons,
        compare=lambda cron, one: _compare_cron(name, cron, one),
        create=lambda cron: _cron_change(Action.CREATE, name, cron, None, ("new",)),
        delete=lambda one, why: CronChange(
            action=Action.DELETE, function=name, name=one.name or "", id=one.id, reasons=(why,)
        ),
    )
    domains = _match_by_name(
        ("domain", name, owned),
        {hostname: hostname for hostname in wanted.domains},
        live_resources.domains,
        compare=lambda hostname, one: _compare_domain(name, hostname, one),
        create=lambda hostname: _domain_change(Action.CREATE, name, hostname, None, ("new",)),
        delete=lambda one, why: _domain_change(Action.DELETE, name, one.hostname, one.id, (why,)),
    )
    triggers = _match_by_name(
        ("trigger", name, owned),
        {trigger.name: trigger for trigger in wanted.triggers},
        live_resources.triggers,
        compare=lambda trigger, one: _compare_trigger(name, trigger, one, privacy_changes=privacy_changes),
        create=lambda trigger: _trigger_change(Action.CREATE, name, trigger, None, ("new",)),
        delete=lambda one, why: TriggerChange(
            action=Action.DELETE, function=name, name=one.name, id=one.id, reasons=(why,)
        ),
    )
    changes = [change for kind in (crons, domains, triggers) for change in kind[0]]
    return changes, [stranger for kind in (crons, domains, triggers) for stranger in kind[1]]


def _match_by_name(
    scope: tuple[str, str, frozenset[str]],
    declared: Mapping[str, DeclaredT],
    live: Iterable[LiveT],
    *,
    compare: Callable[[DeclaredT, LiveT], AttachedResourceChange],
    create: Callable[[DeclaredT], AttachedResourceChange],
    delete: Callable[[LiveT, str], AttachedResourceChange],
) -> tuple[list[AttachedResourceChange], list[str]]:
    """Pair declared and live resources by name.

    Names are not unique in the API. Of several live resources with one name the first is kept and the others, left
    over from an interrupted deploy, are deleted.
    """
    kind, function, owned = scope
    matched: set[str] = set()
    changes: list[AttachedResourceChange] = []
    foreign: list[str] = []
    for one in live:
        name = _resource_name(one)
        if one.status == Status.DELETING:
            continue
        if name in declared and name not in matched:
            matched.add(name)
            changes.append(compare(declared[name], one))
        elif name in declared:
            changes.append(delete(one, "duplicate name"))
        elif owned_hash(kind, name) in owned:
            changes.append(delete(one, "no longer in the code"))
        else:
            foreign.append(f"{kind} {name or one.id} of {function}")
    changes += [create(item) for name, item in declared.items() if name not in matched]
    return changes, foreign


def _resource_name(one: Cron | Domain | Trigger) -> str:
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
    return _cron_change(action, function, wanted, live.id, tuple(reasons))


def _compare_domain(function: str, hostname: str, live: Domain) -> DomainChange:
    if live.status == Status.ERROR:
        reason = f"status is error: {live.error_message or 'no reason given'}"
        return _domain_change(Action.REPLACE, function, hostname, live.id, (reason,))
    return _domain_change(Action.KEEP, function, hostname, live.id, ())


def _compare_trigger(
    function: str, wanted: DesiredTrigger, live: Trigger, *, privacy_changes: bool
) -> TriggerChange:
    """Compare a trigger.

    The API cannot change a trigger's source, and a trigger stops working when its function's privacy changes. Both
    need a replacement.
    """
    live_settings = _live_trigger_config(live)
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
        return _trigger_change(Action.REPLACE, function, wanted, live.id, (reason,))
    if privacy_changes:
        return _trigger_change(Action.REPLACE, function, wanted, live.id, ("its function's privacy changes",))
    if live_settings.description != wanted.settings.description:
        return _trigger_change(Action.UPDATE, function, wanted, live.id, ("description",))
    return _trigger_change(Action.KEEP, function, wanted, live.id, ())


def _live_trigger_config(live: Trigger) -> TriggerConfig | None:
    """Return the settings of a live trigger; ``None`` for a kind of source that projects cannot declare."""
    queue, nats = live.scw_sqs_config, live.scw_nats_config
    if queue is not None and not isinstance(queue, UnsetType):
        return TriggerConfig(
            source="sqs",
            address=queue.queue,
            description=live.description,
            account="",
            project_id=queue.mnq_project_id,
            region=queue.mnq_region,
        )
    if nats is not None and not isinstance(nats, UnsetType):
        return TriggerConfig(
            source="nats",
            address=nats.subject,
            description=live.description,
            account=nats.mnq_nats_account_id,
            project_id=nats.mnq_project_id,
            region=nats.mnq_region,
        )
    return None


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


def _domain_change(
    action: Action, function: str, hostname: str, domain_id: str | None, reasons: tuple[str, ...]
) -> DomainChange:
    return DomainChange(action=action, function=function, name=hostname, id=domain_id, reasons=reasons)


def _trigger_change(
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
