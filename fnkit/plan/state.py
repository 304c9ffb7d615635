"""The two inputs of a plan: the state that a project declares, and the live state of a namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from fnkit.bundler.model import Bundle, Slice
from fnkit.contract.durations import format_duration
from fnkit.contract.platform import PRELOAD_DISABLED_TAG
from fnkit.contract.resources import Cron, Domain, Function, Namespace, Trigger
from fnkit.errors import ProjectInvalid
from fnkit.plan.model import CronConfig, FunctionConfig, NamespaceConfig, TriggerConfig
from fnkit.plan.ownership import hash_parts, owned_hash, owned_hash_tags, owner_tags
from fnkit.project.model import FunctionSpec, Project, TriggerSpec


@dataclass(frozen=True, slots=True)
class SecretMatches:
    """Live secret hashes that match the local values.

    Attributes:
        verified: Verified (hash, name) pairs. Every other pair is treated as different.
    """

    verified: frozenset[tuple[str, str]] = frozenset()

    def matches(self, hashed_value: str, name: str) -> bool:
        """Return whether a live hash is the hash of the local value."""
        return (hashed_value, name) in self.verified


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedResources:
    """The live crons, domains and triggers of one function."""

    crons: tuple[Cron, ...] = ()
    domains: tuple[Domain, ...] = ()
    triggers: tuple[Trigger, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """The live state of one namespace.

    Attributes:
        namespace: ``None`` when it does not exist.
        functions: All functions in it, without those being deleted.
        attached_resources: Resources by function id, of the functions whose lists were fetched.
        deployed_slices: Pairs of path and SHA-256 by slice digest, of slices deployed from this machine, so that a
            plan can name the changed files.
        function_urls: URLs by function name, of live functions to which variables refer. All of them lead to the
            function; the first is the one to use.
    """

    namespace: Namespace | None = None
    functions: tuple[Function, ...] = ()
    attached_resources: Mapping[str, AttachedResources] = field(default_factory=dict)
    deployed_slices: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    function_urls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find_function(self, name: str) -> Function | None:
        """Return the live function of that name, or ``None``."""
        return next((one for one in self.functions if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredNamespace:
    """The declared namespace. If ``shared``, its own settings, secrets and description are never changed."""

    name: str
    shared: bool
    settings: NamespaceConfig
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredCron:
    """A declared cron of a function."""

    name: str
    settings: CronConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredTrigger:
    """A declared queue or subject of a function."""

    name: str
    settings: TriggerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredFunction:
    """A declared function and its bundled code.

    Attributes:
        code: Digest of the slice.
        archive: Content digest of the bundle that contains it.
        files: Pairs of path and SHA-256 of the slice, to explain a changed digest.
        function_urls: Variables that hold the URL of a function, each with its name. They are not in ``settings``.
    """

    name: str
    settings: FunctionConfig
    secrets: tuple[str, ...]
    tags: tuple[str, ...]
    crons: tuple[DesiredCron, ...]
    domains: tuple[str, ...] = ()
    triggers: tuple[DesiredTrigger, ...] = ()
    code: str
    archive: str
    files: tuple[tuple[str, str], ...] = ()
    function_urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared_hash(self) -> str:
        """16 hex digits over the declared crons, domains and triggers."""
        parts = [f"domain\0{hostname}" for hostname in sorted(self.domains)]
        declared: list[tuple[str, DesiredCron | DesiredTrigger]] = [("cron", cron) for cron in self.crons]
        declared += [("trigger", trigger) for trigger in self.triggers]
        for kind, one in sorted(declared, key=lambda pair: (pair[0], pair[1].name)):
            settings = msgspec.json.encode(one.settings, order="deterministic").decode()
            parts.append(f"{kind}\0{one.name}\0{settings}")
        return hash_parts(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """The declared state of a project and stage, or of selected functions of it.

    Attributes:
        is_partial: Only selected functions are included, so that no other function is planned or pruned.
        notes: Sentences about the bundles, for the user.
    """

    project: str
    stage: str
    namespace: DesiredNamespace
    functions: tuple[DesiredFunction, ...]
    is_partial: bool = False
    notes: tuple[str, ...] = ()


def desired_state(
    project: Project,
    bundles: Iterable[Bundle],
    *,
    project_id: str,
    region: str,
    nats_account: str = "",
    names: frozenset[str] | None = None,
) -> DesiredState:
    """Return the state that a project declares.

    Args:
        project: The project.
        bundles: Bundles that contain every selected function.
        project_id: Scaleway project; the default for triggers without one.
        region: Region; the default for triggers without one.
        nats_account: Default NATS account of triggers; empty for none.
        names: Functions to include, ``None`` for all.

    Raises:
        ProjectInvalid: A NATS trigger has no account, and there is no default.
    """
    by_function: dict[str, tuple[Bundle, Slice]] = {}
    notes: list[str] = []
    if not project.functions:
        notes.append("No handler found. Mark one with @function, or declare it in the settings.")
    for bundle in bundles:
        by_function |= {one.function: (bundle, one) for one in bundle.slices}
        notes.extend(bundle.notes)
    selected = [spec for spec in project.functions if names is None or spec.name in names]
    notes.extend(note for spec in selected for note in spec.notes)
    owner = owner_tags(project.name, project.stage)
    location = _Location(project_id, region, nats_account)
    _check_nats_accounts(selected, location)
    return DesiredState(
        project=project.name,
        stage=project.stage,
        namespace=_desired_namespace(project, owner),
        functions=tuple(_desired_function(spec, *by_function[spec.name], owner, location) for spec in selected),
        is_partial=names is not None,
        notes=tuple(dict.fromkeys(notes)),
    )


def _desired_namespace(project: Project, owner: tuple[str, ...]) -> DesiredNamespace:
    spec = project.namespace
    return DesiredNamespace(
        name=spec.name,
        shared=spec.shared,
        settings=NamespaceConfig(
            description=spec.description,
            environment=dict(spec.env),
            tags=()
            if spec.shared
            else (*spec.tags, *owner, *owned_hash_tags(owned_hash("tag", tag) for tag in spec.tags)),
        ),
        secrets=spec.secrets,
    )


@dataclass(frozen=True, slots=True)
class _Location:
    project_id: str
    region: str
    nats_account: str


def _check_nats_accounts(functions: Iterable[FunctionSpec], location: _Location) -> None:
    """Reject NATS triggers without an account. The API rejects them too, but only in the middle of a deploy."""
    problems = [
        trigger.source.problem(
            "nats-account-missing",
            f"{spec.name}: its NATS trigger on {trigger.address} needs the account of the subject.",
            'Add account="A…", the id of the NATS account at Scaleway.',
        )
        for spec in functions
        for trigger in spec.triggers
        if trigger.kind == "nats" and not trigger.account and not location.nats_account
    ]
    if problems:
        raise ProjectInvalid(tuple(problems))


def _desired_function(
    spec: FunctionSpec, bundle: Bundle, one: Slice, owner: tuple[str, ...], location: _Location
) -> DesiredFunction:
    crons = tuple(
        DesiredCron(name=cron.name, settings=CronConfig(schedule=cron.schedule, args=dict(cron.args)))
        for cron in spec.crons
    )
    triggers = tuple(_desired_trigger(trigger, location) for trigger in spec.triggers)
    owned = [
        *(owned_hash("cron", cron.name) for cron in crons),
        *(owned_hash("domain", hostname) for hostname in spec.domains),
        *(owned_hash("trigger", trigger.name) for trigger in triggers),
        *(owned_hash("tag", tag) for tag in spec.tags),
    ]
    return DesiredFunction(
        name=spec.name,
        settings=FunctionConfig(
            runtime=spec.runtime,
            handler=spec.handler,
            memory=spec.memory,
            min_scale=spec.min_scale,
            max_scale=spec.max_scale,
            timeout=format_duration(spec.timeout),
            privacy=spec.privacy,
            http_option=spec.http_option,
            sandbox=spec.sandbox,
            description=spec.description,
            environment=dict(spec.env),
            private_network_id=spec.private_network_id,
        ),
        secrets=spec.secrets,
        tags=(*spec.tags, *owner, *owned_hash_tags(owned), *(() if spec.preload else (PRELOAD_DISABLED_TAG,))),
        crons=crons,
        domains=spec.domains,
        triggers=triggers,
        code=one.digest,
        archive=bundle.digest,
        files=one.files,
        function_urls=dict(spec.function_urls),
    )


def _desired_trigger(spec: TriggerSpec, location: _Location) -> DesiredTrigger:
    settings = TriggerConfig(
        source=spec.kind,
        address=spec.address,
        description=spec.description,
        account="" if spec.kind == "sqs" else spec.account or location.nats_account,
        project_id=spec.project_id or location.project_id,
        region=spec.region or location.region,
    )
    return DesiredTrigger(name=spec.name, settings=settings)
