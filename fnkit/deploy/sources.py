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
from fnkit.deploy.observing import observe
from fnkit.deploy.pacing import Pace
from fnkit.errors import NotFoundError, UsageError

__all__ = ["Firer", "chosen", "last_deliveries", "live_crons", "live_triggers"]

T = TypeVar("T", Cron, Trigger)
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Firer(Generic[T]):
    """A live cron or trigger with its function."""

    function: Function
    source: T

    @property
    def name(self) -> str:
        """The name of the cron or trigger, or its id if it has no name."""
        return self.source.name or self.source.id

    @property
    def path(self) -> str:
        """``function/name``, which is unambiguous in most projects."""
        return f"{self.function.name}/{self.name}"


def live_crons(api: FunctionsApi, namespace: str) -> list[Firer[Cron]]:
    """Return the crons of all functions of the namespace.

    Raises:
        NotFoundError: The namespace does not exist.
    """
    return _live(api, namespace, api.crons.list)


def live_triggers(api: FunctionsApi, namespace: str) -> list[Firer[Trigger]]:
    """Return the triggers of all functions of the namespace.

    Raises:
        NotFoundError: The namespace does not exist.
    """
    return _live(api, namespace, api.triggers.list)


def last_deliveries(api: FunctionsApi, kind: str, source_ids: Sequence[str]) -> dict[str, DeliveryView]:
    """Return the newest delivery of each cron or trigger by id; empty if the platform keeps no delivery log.

    Args:
        api: The API.
        kind: ``crons`` or ``triggers``.
        source_ids: Ids of crons or triggers.
    """
    if not api.deliveries.kept:
        return {}
    pace = Pace()

    def newest(source_id: str) -> list[DeliveryView]:
        return pace.ask(lambda: api.deliveries.page(kind, source_id, limit=1), repeatable=True).deliveries

    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="sources") as pool:
        sources_found = zip(source_ids, pool.map(newest, source_ids), strict=True)
        return {source_id: deliveries[0] for source_id, deliveries in sources_found if deliveries}


def chosen(firers: Sequence[Firer[T]], name: str, kind: str) -> Firer[T]:
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
        [one for one in firers if name in (one.source.id, one.path)],
        [one for one in firers if name in (one.source.name, one.function.name)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            candidates = ", ".join(f"{one.path} ({one.source.id})" for one in matches)
            raise UsageError(
                f"{name} could be any of {len(matches)} {kind}s.",
                code="ambiguous-name",
                hint=f"Use function/name or the id: {candidates}.",
            )
    known = ", ".join(one.path for one in firers) or "none"
    raise NotFoundError(
        f"There is no {kind} {name} on the platform.", code="no-such-source", hint=f"There are: {known}."
    )


def _live(api: FunctionsApi, namespace: str, fetch: Callable[[str], list[T]]) -> list[Firer[T]]:
    pace = Pace()
    observed = observe(api, namespace, pace)
    if observed.namespace is None:
        raise NotFoundError(
            f"There is no namespace {namespace} in {api.endpoint.region}.",
            code="not-deployed",
            hint="Deploy the project first.",
        )
    functions = sorted(observed.functions, key=lambda one: one.name)
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="sources") as pool:
        lists = list(pool.map(lambda one: pace.ask(lambda: fetch(one.id), repeatable=True), functions))
    sources_found = [
        Firer(function, source)
        for function, sources in zip(functions, lists, strict=True)
        for source in sources
        if source.status != Status.DELETING
    ]
    return sorted(sources_found, key=lambda one: one.path)
