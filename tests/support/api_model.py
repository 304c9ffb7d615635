"""A model of the Scaleway API for the property tests of the planner: applies the changes of a plan to live state.

It follows the recorded rules that planning relies on: null means unchanged, secrets merge by key, deleting a
function deletes its crons, and each created function has a new domain name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import asdict

from fnkit.contract.resources import Cron, Domain, Function, Namespace, ScwNatsConfig, SecretHashedValue, Trigger
from fnkit.plan import (
    Action,
    CronChange,
    DomainChange,
    FunctionChange,
    NamespaceChange,
    ObservedState,
    Plan,
    TriggerChange,
)
from fnkit.plan.model import AttachedResourceChange, SecretDiff
from fnkit.plan.ownership import code_tag, hash_live_ids, resource_hash_tag
from fnkit.plan.planner import resources_to_fetch
from fnkit.plan.state import AttachedResources, DesiredState, SecretMatches

LiveResource = Cron | Domain | Trigger

__all__ = ["ModelApi"]


@dataclass
class ModelApi:
    namespace: Namespace | None = None
    functions: dict[str, Function] = field(default_factory=dict)
    attached: dict[str, dict[str, LiveResource]] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(1))
    new_ids: dict[str, str] = field(default_factory=dict)

    def observe(self, desired: DesiredState | None = None) -> ObservedState:
        """Return the live state; with ``desired``, only the attached resources that planning fetches."""
        plain = ObservedState(namespace=self.namespace, functions=tuple(self.functions.values()))
        fetched = resources_to_fetch(desired, plain) if desired else [one.id for one in self.functions.values()]
        return ObservedState(
            namespace=plain.namespace,
            functions=plain.functions,
            attached_resources={function_id: self._attached_resources(function_id) for function_id in fetched},
            function_urls={name: (url,) for name, url in self.urls().items()},
        )

    def urls(self) -> dict[str, str]:
        """Return the URLs of the functions by name."""
        return {name: f"https://{one.domain_name}/" for name, one in self.functions.items()}

    def _attached_resources(self, function_id: str) -> AttachedResources:
        live = self.attached.get(function_id, {}).values()
        return AttachedResources(
            crons=tuple(one for one in live if isinstance(one, Cron)),
            domains=tuple(one for one in live if isinstance(one, Domain)),
            triggers=tuple(one for one in live if isinstance(one, Trigger)),
        )

    def secret_matches(self, values: dict[str, str]) -> SecretMatches:
        """Return which values match; the hash of a value is ``#value`` here."""
        return SecretMatches(frozenset((f"#{value}", name) for name, value in values.items()))

    def apply(self, plan: Plan, values: dict[str, str]) -> None:
        self.new_ids = {
            change.name: self._new_id()
            for change in plan.changes
            if isinstance(change, FunctionChange) and change.action in (Action.CREATE, Action.REPLACE)
        }
        for change in plan.changes:
            match change:
                case NamespaceChange():
                    self._apply_namespace(change, values)
                case FunctionChange():
                    self._apply_function(change, plan.attached_changes(change.name), values)
                case _:
                    pass  # applied with its function

    def _new_id(self) -> str:
        return f"id-{next(self.ids)}"

    def _apply_namespace(self, change: NamespaceChange, values: dict[str, str]) -> None:
        if change.action is Action.DELETE:
            self.namespace, self.functions, self.attached = None, {}, {}
            return
        if change.settings is None or change.action is Action.KEEP:
            return
        old = self.namespace.secret_environment_variables if self.namespace else []
        self.namespace = Namespace(
            id=self.namespace.id if self.namespace else self._new_id(),
            name=change.name,
            environment_variables=change.settings.environment,
            organization_id="o",
            project_id="p",
            status="ready",
            registry_namespace_id="",
            registry_endpoint="",
            description=change.settings.description,
            secret_environment_variables=_merge(old, change.secrets, values),
            tags=list(change.settings.tags),
            region="fr-par",
        )

    def _apply_function(
        self, change: FunctionChange, changes: tuple[AttachedResourceChange, ...], values: dict[str, str]
    ) -> None:
        if change.action is Action.KEEP:
            assert all(child.action is Action.KEEP for child in changes), (
                "attached resources of a kept function are kept"
            )
            return
        old = self.functions.get(change.name)
        if change.action in (Action.DELETE, Action.REPLACE) and old is not None:
            self.attached.pop(old.id, None)
            del self.functions[change.name]
            old = None
        if change.action is Action.DELETE:
            return
        assert change.settings is not None
        function_id = old.id if old else self.new_ids[change.name]
        ids = self._apply_attached(function_id, changes)
        links = change.live_links if change.live_links is not None else hash_live_ids(ids)
        wanted = change.settings
        self.functions[change.name] = Function(
            id=function_id,
            name=change.name,
            namespace_id="n",
            status="ready",
            environment_variables={
                **wanted.environment,
                **{
                    variable: f"https://{_domain(name, self.new_ids[name])}/"
                    for variable, name in change.function_urls.items()
                },
            },
            min_scale=wanted.min_scale,
            max_scale=wanted.max_scale,
            runtime=wanted.runtime,
            memory_limit=wanted.memory,
            cpu_limit=0,
            timeout=wanted.timeout,
            handler=wanted.handler,
            privacy=wanted.privacy,
            description=wanted.description,
            domain_name=_domain(change.name, function_id),
            secret_environment_variables=_merge(
                old.secret_environment_variables if old else [], change.secrets, values
            ),
            http_option=wanted.http_option,
            sandbox=wanted.sandbox,
            tags=[*change.tags, code_tag(change.code), resource_hash_tag(change.declared, links)],
            private_network_id=wanted.private_network_id or None,
            region="fr-par",
        )

    def _apply_attached(self, function_id: str, changes: tuple[AttachedResourceChange, ...]) -> list[str]:
        live = self.attached.setdefault(function_id, {})
        ids = []
        for change in changes:
            if change.action in (Action.DELETE, Action.REPLACE) and change.id is not None:
                del live[change.id]
            if change.action is Action.DELETE:
                continue
            replaced = change.action is Action.REPLACE
            child_id = self._new_id() if change.id is None or replaced else change.id
            if change.action is not Action.KEEP:
                live[child_id] = _attached_resource(change, child_id, function_id)
            ids.append(child_id)
        return ids


def _domain(name: str, function_id: str) -> str:
    return f"{name}-{function_id}.example.com"


def _attached_resource(change: AttachedResourceChange, child_id: str, function_id: str) -> LiveResource:
    match change:
        case CronChange():
            assert change.settings is not None
            settings = asdict(change.settings)
            return Cron(id=child_id, function_id=function_id, status="ready", name=change.name, **settings)
        case DomainChange():
            return Domain(
                id=child_id, hostname=change.name, function_id=function_id, url="https://x", status="ready"
            )
        case TriggerChange():
            assert change.settings is not None
            assert change.settings.source == "nats"
            return Trigger(
                id=child_id,
                name=change.name,
                description=change.settings.description,
                function_id=function_id,
                input_type="scw_nats",
                status="ready",
                scw_nats_config=ScwNatsConfig(
                    subject=change.settings.address,
                    mnq_nats_account_id=change.settings.account,
                    mnq_project_id=change.settings.project_id,
                    mnq_region=change.settings.region,
                ),
            )


def _merge(live: list[SecretHashedValue], changes: SecretDiff, values: dict[str, str]) -> list[SecretHashedValue]:
    hashes = {secret.key: secret.hashed_value for secret in live}
    hashes |= {name: f"#{values[name]}" for name in changes.write}
    return [SecretHashedValue(key=key, hashed_value=hashes[key]) for key in hashes if key not in changes.remove]
