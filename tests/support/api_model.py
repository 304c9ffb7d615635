"""The API in fifty lines: what a plan's changes do to live state, for the planner's laws.

It follows the recorded rules that planning relies on: null means unchanged, secrets merge by key, a deleted
function takes its crons along. It is a model of somebody else's API, not a stand-in for our code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from fnkit.contract.resources import Cron, Function, Namespace, SecretHashedValue
from fnkit.plan import Action, CronChange, FunctionChange, NamespaceChange, Observed, Plan, SecretVerdicts
from fnkit.plan.changes import SecretChanges
from fnkit.plan.tags import code_tag, links_tag

__all__ = ["ModelApi"]


@dataclass
class ModelApi:
    namespace: Namespace | None = None
    functions: dict[str, Function] = field(default_factory=dict)
    crons: dict[str, dict[str, Cron]] = field(default_factory=dict)
    ids: count[int] = field(default_factory=lambda: count(1))

    def observe(self) -> Observed:
        crons = {one.id: tuple(self.crons.get(one.id, {}).values()) for one in self.functions.values()}
        return Observed(namespace=self.namespace, functions=tuple(self.functions.values()), crons=crons)

    def verdicts(self, values: dict[str, str]) -> SecretVerdicts:
        """Hashes are spelled ``#value`` here."""
        return SecretVerdicts(frozenset((f"#{value}", name) for name, value in values.items()))

    def apply(self, plan: Plan, values: dict[str, str]) -> None:
        for change in plan.changes:
            match change:
                case NamespaceChange():
                    self._namespace(change, values)
                case FunctionChange():
                    self._function(change, plan.crons_of(change.name), values)
                case CronChange():
                    pass  # goes with its function

    def _new_id(self) -> str:
        return f"id-{next(self.ids)}"

    def _namespace(self, change: NamespaceChange, values: dict[str, str]) -> None:
        if change.action is Action.DELETE:
            self.namespace, self.functions, self.crons = None, {}, {}
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

    def _function(self, change: FunctionChange, crons: tuple[CronChange, ...], values: dict[str, str]) -> None:
        if change.action is Action.KEEP:
            assert all(cron.action is Action.KEEP for cron in crons), "a kept function's crons are kept"
            return
        old = self.functions.get(change.name)
        if change.action in (Action.DELETE, Action.REPLACE) and old is not None:
            self.crons.pop(old.id, None)
            del self.functions[change.name]
            old = None
        if change.action is Action.DELETE:
            return
        assert change.settings is not None
        function_id = old.id if old else self._new_id()
        self._crons(function_id, crons)
        ids = [cron.id for cron in self.crons[function_id].values() if cron.name in {one.name for one in crons}]
        wanted = change.settings
        self.functions[change.name] = Function(
            id=function_id,
            name=change.name,
            namespace_id="n",
            status="ready",
            environment_variables=wanted.environment,
            min_scale=wanted.min_scale,
            max_scale=wanted.max_scale,
            runtime=wanted.runtime,
            memory_limit=wanted.memory,
            cpu_limit=0,
            timeout=wanted.timeout,
            handler=wanted.handler,
            privacy=wanted.privacy,
            description=wanted.description,
            domain_name="d",
            secret_environment_variables=_merge(
                old.secret_environment_variables if old else [], change.secrets, values
            ),
            http_option=wanted.http_option,
            sandbox=wanted.sandbox,
            tags=[*change.tags, code_tag(change.code), links_tag(change.declared, ids)],
            private_network_id=wanted.private_network_id or None,
            region="fr-par",
        )

    def _crons(self, function_id: str, changes: tuple[CronChange, ...]) -> None:
        live = self.crons.setdefault(function_id, {})
        for change in changes:
            cron_id = change.id or self._new_id()
            if change.action is Action.DELETE:
                del live[cron_id]
            elif change.action is not Action.KEEP:
                live[cron_id] = Cron(
                    id=cron_id,
                    function_id=function_id,
                    schedule=change.schedule,
                    args=change.args,
                    status="ready",
                    name=change.name,
                )


def _merge(
    live: list[SecretHashedValue], changes: SecretChanges, values: dict[str, str]
) -> list[SecretHashedValue]:
    hashes = {secret.key: secret.hashed_value for secret in live}
    hashes |= {name: f"#{values[name]}" for name in changes.write}
    return [SecretHashedValue(key=key, hashed_value=hashes[key]) for key in hashes if key not in changes.remove]
