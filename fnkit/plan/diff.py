"""Compares the declared settings, functions, crons, domains and triggers of a namespace with the live ones.

The API treats null and absent fields as "unchanged". Settings are therefore always complete and compared as a
whole: a setting removed from the code is compared, and written, as its documented default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar

from msgspec.structs import replace

from fnkit.contract.durations import parse_api_duration
from fnkit.contract.enums import Status
from fnkit.contract.platform import is_preload_enabled
from fnkit.contract.resources import (
    Cron,
    Domain,
    Function,
    Namespace,
    ScwNatsConfig,
    ScwSqsConfig,
    SecretHashedValue,
    Trigger,
)
from fnkit.contract.runtimes import find_runtime
from fnkit.plan.function_urls import pending_reasons
from fnkit.plan.model import (
    Action,
    AttachedResourceChange,
    Change,
    CronChange,
    DomainChange,
    FunctionChange,
    FunctionConfig,
    NamespaceConfig,
    SecretDiff,
    TriggerChange,
    TriggerConfig,
)
from fnkit.plan.ownership import hash_live_ids, is_fnkit_tag, owned_hash, read_ownership
from fnkit.plan.state import (
    AttachedResources,
    DesiredCron,
    DesiredFunction,
    DesiredTrigger,
    ObservedState,
    SecretMatches,
)

DeclaredResource: TypeAlias = DesiredCron | str | DesiredTrigger
"""A declared cron, hostname or trigger."""

DeclaredT = TypeVar("DeclaredT", DesiredCron, str, DesiredTrigger)
LiveT = TypeVar("LiveT", Cron, Domain, Trigger)

_MAX_FILES_SHOWN: Final = 3


def _new_attached_resources(wanted: DesiredFunction) -> list[AttachedResourceChange]:
    """Return the changes that create all resources of a function that does not exist yet."""
    declared: tuple[DeclaredResource, ...] = (*wanted.crons, *wanted.domains, *wanted.triggers)
    return [_change(Action.CREATE, wanted.name, one, None, ("new",)) for one in declared]


def _plan_attached_resources(
    wanted: DesiredFunction, live: Function, live_resources: AttachedResources
) -> tuple[list[AttachedResourceChange], list[str]]:
    """Compare the declared resources of a function with the live ones.

    These resources have no tags. The function's own tags record a hash of each one that fnkit created
    (``fnkit.plan.ownership``). A live resource with a declared name is taken to be the declared one; one that is
    recorded and no longer declared is deleted; any other is foreign.

    Returns:
        The changes, and descriptions of the foreign resources.
    """
    scope = wanted.name, read_ownership(live.tags).owned_hashes
    compare_trigger = partial(_compare_trigger, privacy_changes=live.privacy != wanted.settings.privacy)
    crons = _match_by_name("cron", scope, wanted.crons, live_resources.crons, _compare_cron)
    domains = _match_by_name("domain", scope, wanted.domains, live_resources.domains, _compare_domain)
    triggers = _match_by_name("trigger", scope, wanted.triggers, live_resources.triggers, compare_trigger)
    changes = [change for kind in (crons, domains, triggers) for change in kind[0]]
    return changes, [stranger for kind in (crons, domains, triggers) for stranger in kind[1]]


def _match_by_name(
    kind: str,
    scope: tuple[str, frozenset[str]],
    wanted: Iterable[DeclaredT],
    live: Iterable[LiveT],
    compare: Callable[[DeclaredT, LiveT], tuple[Action, tuple[str, ...]]],
) -> tuple[list[AttachedResourceChange], list[str]]:
    """Pair declared and live resources by name.

    Names are not unique in the API. Of several live resources with one name the first is kept and the others, left
    over from an interrupted deploy, are deleted.
    """
    function, owned = scope
    declared = {_declared_name(one): one for one in wanted}
    matched: set[str] = set()
    changes: list[AttachedResourceChange] = []
    foreign: list[str] = []
    for one in live:
        name = _resource_name(one)
        if one.status == Status.DELETING:
            continue
        if name in declared and name not in matched:
            matched.add(name)
            action, reasons = compare(declared[name], one)
            changes.append(_change(action, function, declared[name], one.id, reasons))
        elif name in declared:
            changes.append(_deletion(function, one, "duplicate name"))
        elif owned_hash(kind, name) in owned:
            changes.append(_deletion(function, one, "no longer in the code"))
        else:
            foreign.append(f"{kind} {name or one.id} of {function}")
    new = [item for name, item in declared.items() if name not in matched]
    return changes + [_change(Action.CREATE, function, item, None, ("new",)) for item in new], foreign


def _declared_name(one: DeclaredResource) -> str:
    return one if isinstance(one, str) else one.name


def _resource_name(one: Cron | Domain | Trigger) -> str:
    return one.hostname if isinstance(one, Domain) else one.name or ""


def _compare_cron(wanted: DesiredCron, live: Cron) -> tuple[Action, tuple[str, ...]]:
    settings = wanted.settings
    reasons = [
        _describe_difference(name, getattr(live, name), getattr(settings, name))
        for name in settings.__struct_fields__
        if getattr(live, name) != getattr(settings, name)
    ]
    if live.status == Status.ERROR:
        reasons.append("status is error")
    return Action.UPDATE if reasons else Action.KEEP, tuple(reasons)


def _describe_difference(name: str, live: object, wanted: object) -> str:
    """Return ``name before → after`` for a plain value, and the name alone for an object."""
    return name if isinstance(wanted, dict) else f"{name} {_format_value(live)} → {_format_value(wanted)}"


def _compare_domain(_hostname: str, live: Domain) -> tuple[Action, tuple[str, ...]]:
    if live.status == Status.ERROR:
        return Action.REPLACE, (f"status is error: {live.error_message or 'no reason given'}",)
    return Action.KEEP, ()


def _compare_trigger(
    wanted: DesiredTrigger, live: Trigger, *, privacy_changes: bool
) -> tuple[Action, tuple[str, ...]]:
    """Compare a trigger.

    The API cannot change a trigger's source, and a trigger stops working when its function's privacy changes. Both
    need a replacement.
    """
    settings = wanted.settings
    live_settings = _live_trigger_config(live)
    if live_settings is None or replace(live_settings, description=settings.description) != settings:
        return Action.REPLACE, (f"its source changes to {settings.address}",)
    if privacy_changes:
        return Action.REPLACE, ("its function's privacy changes",)
    if live_settings != settings:
        return Action.UPDATE, ("description",)
    return Action.KEEP, ()


def _live_trigger_config(live: Trigger) -> TriggerConfig | None:
    """Return the settings of a live trigger; ``None`` for a kind of source that projects cannot declare."""
    place: ScwSqsConfig | ScwNatsConfig
    match live:
        case Trigger(scw_sqs_config=ScwSqsConfig(queue=address) as place):
            source, account = "sqs", ""
        case Trigger(scw_nats_config=ScwNatsConfig(subject=address, mnq_nats_account_id=account) as place):
            source = "nats"
        case _:
            return None
    return TriggerConfig(
        source=source,
        address=address,
        description=live.description,
        account=account,
        project_id=place.mnq_project_id,
        region=place.mnq_region,
    )


def _change(
    action: Action, function: str, wanted: DeclaredResource, live_id: str | None, reasons: tuple[str, ...]
) -> AttachedResourceChange:
    """Return the change that makes a declared resource live."""
    match wanted:
        case DesiredCron(name=name, settings=settings):
            return CronChange(action, function, name, live_id, reasons, settings=settings)
        case DesiredTrigger(name=name, settings=settings):
            return TriggerChange(action, function, name, live_id, reasons, settings=settings)
        case _:
            return DomainChange(action, function, wanted, live_id, reasons)


def _deletion(function: str, live: Cron | Domain | Trigger, reason: str) -> AttachedResourceChange:
    kind = CronChange if isinstance(live, Cron) else DomainChange if isinstance(live, Domain) else TriggerChange
    return kind(Action.DELETE, function, _resource_name(live), live.id, (reason,))


def _code_reason(deployed: Sequence[tuple[str, str]] | None, wanted: Sequence[tuple[str, str]]) -> str:
    """Return why the code is deployed again.

    Names the changed files if this machine has a record of the deployed slice; ``deployed`` is ``None`` otherwise.
    """
    if deployed is None:
        return "code"
    names = _named_differences(dict(deployed), dict(wanted))
    if not names:
        return "code: its dependencies, runtime or handler"
    more = len(names) - _MAX_FILES_SHOWN
    return "code: " + ", ".join(names[:_MAX_FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _function_differences(live: Function, wanted: FunctionConfig, pending: Mapping[str, str]) -> list[str]:
    """Return one entry for each differing setting, for example ``memory 128 → 256``; none for pending variables."""
    pairs: list[tuple[str, object, object]] = [
        ("runtime", live.runtime, wanted.runtime),
        ("handler", live.handler, wanted.handler),
        ("memory", live.memory_limit, wanted.memory),
        ("min_scale", live.min_scale, wanted.min_scale),
        ("max_scale", live.max_scale, wanted.max_scale),
        ("timeout", _duration_seconds(live.timeout), _duration_seconds(wanted.timeout)),
        ("privacy", live.privacy, wanted.privacy),
        ("http_option", live.http_option, wanted.http_option),
        ("sandbox", live.sandbox, wanted.sandbox),
        ("private_network_id", live.private_network_id or "", wanted.private_network_id),
    ]
    reasons = [f"{name} {_format_value(old)} → {_format_value(new)}" for name, old, new in pairs if old != new]
    if (live.description or "") != wanted.description:
        reasons.append("description")
    current = {name: value for name, value in live.environment_variables.items() if name not in pending}
    return reasons + [f"variable {change}" for change in _named_differences(current, wanted.environment)]


def namespace_differences(live: Namespace, wanted: NamespaceConfig) -> list[str]:
    """Return one entry for each differing setting."""
    reasons = ["description"] if (live.description or "") != wanted.description else []
    return reasons + [
        f"variable {change}" for change in _named_differences(live.environment_variables, wanted.environment)
    ]


def merge_tags(live: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the tags to write: the wanted ones, and live tags that others added.

    A live tag that the code declared earlier is recorded among the owned hashes; when the code no longer declares
    it, it is removed. ``fnkit.code`` and ``fnkit.links`` are added when the plan is applied.
    """
    once_declared = read_ownership(live).owned_hashes
    kept = [
        tag
        for tag in live
        if not is_fnkit_tag(tag) and tag not in wanted and owned_hash("tag", tag) not in once_declared
    ]
    return (*wanted, *kept)


def diff_secrets(
    live: Iterable[SecretHashedValue], wanted: Iterable[str], secret_matches: SecretMatches
) -> SecretDiff:
    """Return the secrets to write (new, or with another value) and to remove, sorted by name."""
    hashes = {secret.key: secret.hashed_value for secret in live}
    names = set(wanted)
    write = [name for name in names if name not in hashes or not secret_matches.matches(hashes[name], name)]
    return SecretDiff(write=tuple(sorted(write)), remove=tuple(sorted(set(hashes) - names)))


def secret_differences(live: Iterable[SecretHashedValue], changes: SecretDiff) -> list[str]:
    """Describe changes of secrets by name, never by value."""
    known = {secret.key for secret in live}
    written = [f"secret {name} {'changed' if name in known else 'added'}" for name in changes.write]
    return written + [f"secret {name} removed" for name in changes.remove]


def _named_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return ``<name> added``, ``removed`` or ``changed`` for each difference, sorted by name."""
    return [
        f"{name} {'added' if name not in before else 'removed' if name not in after else 'changed'}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _duration_seconds(duration: str | None) -> object:
    """Return a duration as a number of seconds, so that ``10.000000000s`` equals ``10s``."""
    nanoseconds = parse_api_duration(duration or "")
    return duration if nanoseconds is None else nanoseconds / 10**9


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value) or "none"


def plan_function(
    wanted: DesiredFunction, observed: ObservedState, secret_matches: SecretMatches
) -> tuple[list[Change], list[str]]:
    """Compare one function, whose known URLs of functions are resolved, with its live counterpart.

    Returns:
        The changes, the function's own first, and descriptions of foreign resources attached to the function.
    """
    live = observed.find_function(wanted.name)
    if live is None:
        return _creation_changes(wanted, Action.CREATE, ("new",)), []
    if is_recreated(wanted, live):
        reason = f"runtime {live.runtime} → {wanted.settings.runtime}: a function cannot change its language"
        return _creation_changes(wanted, Action.REPLACE, (reason,), live), []
    found = observed.attached_resources.get(live.id)
    children, foreign = ([], []) if found is None else _plan_attached_resources(wanted, live, found)
    secrets = diff_secrets(live.secret_environment_variables, wanted.secrets, secret_matches)
    tags = merge_tags(live.tags, wanted.tags)
    deployed = read_ownership(live.tags).code_digest
    code_changed = deployed != wanted.code
    reasons = [_code_reason(observed.deployed_slices.get(deployed or ""), wanted.files)] if code_changed else []
    reasons += _change_reasons(wanted, live, secrets, tags)
    if not reasons and _resource_hash_differs(wanted, live, children):
        reasons.append(f"its {_changed_kinds(children) or 'resources'} change")
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
        declared=wanted.declared_hash,
        live_links=read_ownership(live.tags).live_hash if found is None else None,
        function_urls=dict(wanted.function_urls),
    )
    return [change, *children], foreign


def is_recreated(wanted: DesiredFunction, live: Function) -> bool:
    """Return whether a function must be deleted and created again: it cannot change its language."""
    return _runtime_language(live.runtime) != _runtime_language(wanted.settings.runtime)


def delete_function(live: Function, reason: str) -> FunctionChange:
    """Return the deletion of a live function. The API deletes its crons, domains and triggers with it."""
    return FunctionChange(
        action=Action.DELETE, name=live.name, id=live.id, reasons=(reason,), domain=live.domain_name
    )


def _creation_changes(
    wanted: DesiredFunction, action: Action, reasons: tuple[str, ...], live: Function | None = None
) -> list[Change]:
    function = FunctionChange(
        action=action,
        name=wanted.name,
        id=live.id if live else None,
        reasons=(*reasons, *pending_reasons(wanted)),
        settings=wanted.settings,
        secrets=SecretDiff(write=tuple(sorted(wanted.secrets))),
        tags=merge_tags(live.tags, wanted.tags) if live else wanted.tags,
        code=wanted.code,
        archive=wanted.archive,
        declared=wanted.declared_hash,
        domain=live.domain_name if live else "",
        function_urls=dict(wanted.function_urls),
    )
    return [function, *_new_attached_resources(wanted)]


def _change_reasons(
    wanted: DesiredFunction, live: Function, secrets: SecretDiff, tags: tuple[str, ...]
) -> list[str]:
    reasons = _function_differences(live, wanted.settings, wanted.function_urls)
    reasons += pending_reasons(wanted)
    reasons += secret_differences(live.secret_environment_variables, secrets)
    # fnkit's own tags are rewritten with any other change. They are no reason for an update by themselves.
    if {tag for tag in tags if not is_fnkit_tag(tag)} != {tag for tag in live.tags if not is_fnkit_tag(tag)}:
        reasons.append("tags")
    if is_preload_enabled(tags) != is_preload_enabled(live.tags):
        reasons.append(f"preload {'off' if is_preload_enabled(live.tags) else 'on'}")
    if live.status != Status.READY:
        reasons.append(f"status is {live.status}" + (f": {live.error_message}" if live.error_message else ""))
    return reasons


def _resource_hash_differs(
    wanted: DesiredFunction, live: Function, resource_changes: list[AttachedResourceChange]
) -> bool:
    """Return whether ``fnkit.links`` must be rewritten: a resource changes, or was recreated outside fnkit.

    A recreated resource has another id, so the live half of the recorded hash no longer matches. This is only
    checked when the resources were fetched (``changes`` is not empty).
    """
    owner = read_ownership(live.tags)
    if owner.declared_hash != wanted.declared_hash:
        return True
    if any(change.action is not Action.KEEP for change in resource_changes):
        return True
    ids = [change.id for change in resource_changes if change.id is not None]
    return bool(resource_changes) and owner.live_hash != hash_live_ids(ids)


def _changed_kinds(resource_changes: list[AttachedResourceChange]) -> str:
    """Name the kinds of resources that change, for example ``crons and domains``."""
    changed = {
        f"{change.__struct_config__.tag}s" for change in resource_changes if change.action is not Action.KEEP
    }
    return " and ".join(sorted(changed))


def _runtime_language(runtime: str) -> str:
    row = find_runtime(runtime)
    return row.language if row else runtime.rstrip("0123456789")
