"""The live crons and triggers of a project, and their selection by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from fnkit.client.api import FunctionsApi
from fnkit.contract.deliveries import DeliveryView
from fnkit.contract.enums import Status
from fnkit.contract.resources import Cron, Function, Trigger
from fnkit.deploy.observing import observe_namespace
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.errors import NotFoundError, UsageError

__all__ = ["EventSource", "select_one", "latest_deliveries", "live_crons", "live_triggers"]

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


def live_crons(api: FunctionsApi, namespace: str) -> list[EventSource[Cron]]:
    """Return the crons of all functions of the namespace.

    Raises:
        NotFoundError: The namespace does not exist.
    """
    return _fetch_sources(api, namespace, api.crons.list)


def live_triggers(api: FunctionsApi, namespace: str) -> list[EventSource[Trigger]]:
    """Return the triggers of all functions of the namespace.

    Raises:
        NotFoundError: The namespace does not exist.
    """
    return _fetch_sources(api, namespace, api.triggers.list)


def latest_deliveries(api: FunctionsApi, kind: str, source_ids: Sequence[str]) -> dict[str, DeliveryView]:
    """Return the newest delivery of each cron or trigger by id; empty if the platform keeps no delivery log.

    Args:
        api: The API.
        kind: ``crons`` or ``triggers``.
        source_ids: Ids of crons or triggers.
    """
    if not api.deliveries.is_available:
        return {}
    pace = AdaptiveLimiter()

    def newest(source_id: str) -> list[DeliveryView]:
        return pace.call(lambda: api.deliveries.list_page(kind, source_id, limit=1), idempotent=True).deliveries

    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="sources") as pool:
        sources_found = zip(source_ids, pool.map(newest, source_ids), strict=True)
        return {source_id: deliveries[0] for source_id, deliveries in sources_found if deliveries}


def select_one(sources: Sequence[EventSource[T]], name: str, kind: str) -> EventSource[T]:
    """Return the cron or trigger that a name refers to.

    A name is an id, ``function/name``, the name of the cron or trigger, or the name of its function.

    Args:
        sources: The candidates.
        name: The name to look up.
        kind: ``cron`` or ``trigger``, for messages.

    Raises:
        NotFoundError: Nothing has that name.
        UsageError: ``ambiguous-name``, listing all matches.
    """
    for matches in (
        [one for one in sources if name in (one.resource.id, one.qualified_name)],
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


def _fetch_sources(api: FunctionsApi, namespace: str, fetch: Callable[[str], list[T]]) -> list[EventSource[T]]:
    pace = AdaptiveLimiter()
    observed = observe_namespace(api, namespace, pace)
    if observed.namespace is None:
        raise NotFoundError(
            f"There is no namespace {namespace} in {api.endpoint.region}.",
            code="not-deployed",
            hint="Deploy the project first.",
        )
    functions = sorted(observed.functions, key=lambda one: one.name)
    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="sources") as pool:
        lists = list(pool.map(lambda one: pace.call(lambda: fetch(one.id), idempotent=True), functions))
    sources_found = [
        EventSource(function, source)
        for function, sources in zip(functions, lists, strict=True)
        for source in sources
        if source.status != Status.DELETING
    ]
    return sorted(sources_found, key=lambda one: one.qualified_name)
