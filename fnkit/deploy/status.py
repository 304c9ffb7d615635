"""The live state of a project, its drift from the code, and its live crons and triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from fnkit.client.api import FunctionsApi
from fnkit.contract.deliveries import DeliveryView
from fnkit.contract.enums import Status
from fnkit.contract.resources import Cron, Function, Trigger
from fnkit.contract.text import natural_key
from fnkit.deploy.events import EventCallback
from fnkit.deploy.identifiers import find_id
from fnkit.deploy.loading import ProjectIdentity
from fnkit.deploy.observe import observe_namespace
from fnkit.deploy.pipeline import DeployRequest, prepare_inputs
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.deploy.start_report import import_errors
from fnkit.deploy.target import NO_PRIVATE_NETWORK, DeployTarget, discover_target, function_url, runs_on
from fnkit.deploy.user_cache import CacheDirectory
from fnkit.errors import BundleError, DeployError, NotFoundError, Problem, ProjectError, ProjectInvalid, UsageError
from fnkit.plan import Action, FunctionChange
from fnkit.plan.ownership import read_ownership

T = TypeVar("T", Cron, Trigger)
_MAX_WORKERS = 8


@dataclass(frozen=True, slots=True)
class EventSource(Generic[T]):
    """A live cron or trigger with its function."""

    function: Function
    resource: T

    @property
    def name(self) -> str:
        """The name of the cron or trigger, or its id if it has no name."""
        return self.resource.name or self.resource.id

    @property
    def qualified_name(self) -> str:
        """``function/name``, which is unambiguous in most projects."""
        return f"{self.function.name}/{self.name}"


def latest_deliveries(api: FunctionsApi, kind: str, source_ids: Sequence[str]) -> dict[str, DeliveryView]:
    """Return the newest delivery of each cron or trigger by id; empty if the platform keeps no delivery log.

    Args:
        api: The API.
        kind: ``crons`` or ``triggers``.
        source_ids: Ids of crons or triggers.
    """
    if not api.deliveries.is_available:
        return {}
    limiter = AdaptiveLimiter()

    def newest(source_id: str) -> list[DeliveryView]:
        return limiter.call(lambda: api.deliveries.list_page(kind, source_id, limit=1)).deliveries

    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="sources") as pool:
        found = zip(source_ids, pool.map(newest, source_ids), strict=True)
        return {source_id: deliveries[0] for source_id, deliveries in found if deliveries}


def select_one(sources: Sequence[EventSource[T]], name: str, kind: str) -> EventSource[T]:
    """Return the cron or trigger that a name refers to.

    A name is an id or its first 8 characters, ``function/name``, the name of the cron or trigger, or the name of
    its function.

    Args:
        sources: The candidates.
        name: The name to look up.
        kind: ``cron`` or ``trigger``, for messages.

    Raises:
        NotFoundError: Nothing has that name.
        UsageError: ``ambiguous-name``, listing all matches.
    """
    identifier = find_id(name, [one.resource.id for one in sources], f"{kind}s")
    for matches in (
        [one for one in sources if one.resource.id == identifier or one.qualified_name == name],
        [one for one in sources if name in (one.resource.name, one.function.name)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            candidates = ", ".join(f"{one.qualified_name} ({one.resource.id})" for one in matches)
            raise UsageError(
                f"{name} could be any of {len(matches)} {kind}s.",
                code="ambiguous-name",
                hint=f"Use function/name or the id: {candidates}.",
            )
    known = ", ".join(one.qualified_name for one in sources) or "none"
    raise NotFoundError(
        f"There is no {kind} {name} on the platform.", code="no-such-source", hint=f"There are: {known}."
    )


def live_sources(api: FunctionsApi, namespace: str, fetch: Callable[[str], list[T]]) -> list[EventSource[T]]:
    """Return the crons or triggers of all functions of the namespace.

    Args:
        api: The API.
        namespace: Name of the namespace.
        fetch: Returns those of a function by its id: ``api.crons.list`` or ``api.triggers.list``.

    Raises:
        NotFoundError: The namespace does not exist.
    """
    limiter = AdaptiveLimiter()
    observed = observe_namespace(api, namespace, limiter)
    if observed.namespace is None:
        raise NotFoundError(
            f"There is no namespace {namespace} in {api.endpoint.region}.",
            code="not-deployed",
            hint="Deploy the project first.",
        )
    functions = sorted(observed.functions, key=lambda one: natural_key(one.name))
    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="sources") as pool:
        lists = list(pool.map(lambda one: limiter.call(lambda: fetch(one.id)), functions))
    found = [
        EventSource(function, source)
        for function, sources in zip(functions, lists, strict=True)
        for source in sources
        if source.status != Status.DELETING
    ]
    return sorted(found, key=lambda one: natural_key(one.qualified_name))


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatus:
    """One function that is live, declared, or both.

    Attributes:
        status: The API's, or ``missing`` when the function is only declared.
        run_by: What runs it in place of the version that ``runtime`` names, as ``Python 3.11``; empty for that one.
        import_error: The end of the traceback if its handler cannot be imported, where the platform knows.
        drift: What a deploy would change and why; empty for nothing, ``None`` when it could not be determined.
        notes: Sentences about settings without effect here.
    """

    name: str
    status: str
    url: str = ""
    domain: str = ""
    runtime: str = ""
    run_by: str = ""
    import_error: str | None = None
    digest: str = ""
    drift: tuple[str, ...] | None = ()
    error_message: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_error(self) -> bool:
        """Whether it does not work."""
        return self.status == Status.ERROR or self.import_error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """The live state of a project and stage.

    Attributes:
        foreign: Names of functions in the namespace that the project does not own.
        drift_problem: Why drift could not be determined, or ``None``.
    """

    namespace: str
    region: str
    functions: tuple[FunctionStatus, ...]
    foreign: tuple[str, ...] = ()
    drift_problem: Problem | None = None

    @property
    def has_errors(self) -> bool:
        """Whether an owned function does not work."""
        return any(one.has_error for one in self.functions)


def read_project_status(
    identity: ProjectIdentity,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheDirectory,
    report: EventCallback,
) -> ProjectStatus:
    """Read the live state and compare it with the project, if the project is valid.

    Raises:
        ApiError: The endpoint rejected a request or could not be reached.
    """
    limiter = AdaptiveLimiter()
    request = DeployRequest(directory=identity.root, stage=identity.stage)
    drift: dict[str, tuple[str, ...]] | None = None
    drift_problem: Problem | None = None
    try:
        prepared = prepare_inputs(request, api, environ=environ, cache=cache, limiter=limiter, report=report)
    except (ProjectError, BundleError, DeployError) as error:
        # An invalid project prevents the comparison only; the live state is shown regardless.
        target, observed = discover_target(api, limiter), observe_namespace(api, identity.namespace, limiter)
        drift_problem = _as_problem(error)
    else:
        target, observed = prepared.target, prepared.observed
        functions = [change for change in prepared.plan.changes if isinstance(change, FunctionChange)]
        drift = {one.name: () if one.action is Action.KEEP else one.reasons for one in functions}
    live = {one.name: one for one in observed.functions}
    owned = {
        name for name, one in live.items() if read_ownership(one.tags).belongs_to(identity.project, identity.stage)
    }
    return ProjectStatus(
        namespace=identity.namespace,
        region=api.endpoint.region,
        functions=tuple(
            _function_status(name, live.get(name), drift, target, identity.namespace)
            for name in sorted(owned | set(drift or ()), key=natural_key)
        ),
        foreign=tuple(sorted(set(live) - owned, key=natural_key)),
        drift_problem=drift_problem,
    )


def _as_problem(error: ProjectError | BundleError | DeployError) -> Problem:
    if isinstance(error, ProjectInvalid):
        return error.problems[0]
    return error.as_problem()


def _function_status(
    name: str,
    live: Function | None,
    drift: Mapping[str, tuple[str, ...]] | None,
    target: DeployTarget,
    namespace: str,
) -> FunctionStatus:
    difference = None if drift is None else drift.get(name, ())
    if live is None:
        return FunctionStatus(name=name, status="missing", drift=difference)
    url = function_url(target.info, live.domain_name, region=live.region, namespace=namespace, function=name)
    return FunctionStatus(
        name=name,
        status=live.status,
        url=url,
        domain=live.domain_name,
        runtime=live.runtime,
        run_by=runs_on(target.info, live.runtime),
        import_error=import_errors(target.info).get(live.id) if live.status == Status.READY else None,
        digest=read_ownership(live.tags).code_digest or "",
        drift=difference,
        error_message=live.error_message,
        notes=_notes_on(live, target),
    )


def _notes_on(live: Function, target: DeployTarget) -> tuple[str, ...]:
    has_no_effect = target.info is not None and live.private_network_id and not target.info.private_networks
    return (f"{NO_PRIVATE_NETWORK}.",) if has_no_effect else ()
