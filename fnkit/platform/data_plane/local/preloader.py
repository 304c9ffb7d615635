"""Decides which deployments have a zygote of their own, when it is started and when it ends.

A deployment gets a zygote after one of its instances was slow to start, mostly because of its imports, if its
archive contains packages. Deployments that differ in edited files only share one, which shows the files as they
were built: their instances write the edited ones. One zygote is started at a time. Its memory counts against the
memory budget; the least recently used ones end when memory is short or when all together exceed their share.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.local.limits import MemoryBudget
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient, PreloadResult
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.program import local_program
from fnkit.platform.model.routing import Route

_SLOW_START_SECONDS: Final = 0.02  # a faster start has little to gain
_MIN_IMPORT_CPU_SECONDS: Final = 0.005  # CPU time of imports below which a zygote is not worth its memory
_IMPORT_TIMEOUT: Final = 60.0
_MAX_EXCLUDED: Final = 16
_MAX_FAILURES: Final = 3
_BACKOFF_FIRST: Final = 0.5  # seconds
_BACKOFF_MAX: Final = 300.0
_BUDGET_FRACTION: Final = 4  # divisor: all zygotes together use a quarter of the memory budget
_PREWARMED_FORK_MB: Final = 8  # private memory of the fork that a zygote keeps ahead of use
_MIB: Final = 1024 * 1024

_DeploymentKey = tuple[object, ...]


@dataclass(slots=True)
class _DeploymentState:
    """The state of one deployment.

    Attributes:
        memory: MB that are reserved for its zygote.
        excluded: Modules that must not be preloaded.
        not_before: No attempt before this time of the event loop.
        starting: A zygote is being started.
        finished: No further attempt is made.
        generations: The deployments that may get instances from it.
    """

    zygote: DeploymentZygoteClient | None = None
    memory: int = 0  # MB
    excluded: set[str] = field(default_factory=set)
    failures: int = 0
    not_before: float = 0.0
    starting: bool = False
    finished: bool = False
    generations: set[int] = field(default_factory=set)


class Preloader:
    """The deployment zygotes of this data plane.

    Args:
        factory: Starts them.
        budget: The memory budget.
        logs: Receives messages about them.
        backoff: Seconds before a deployment whose zygote failed gets another one, doubled with each failure.
    """

    def __init__(
        self, factory: WorkerFactory, budget: MemoryBudget, logs: LogWriter, *, backoff: float = _BACKOFF_FIRST
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._factory = factory
        self._is_possible = factory.level is not Level.LANDLOCK
        self._budget = budget
        self._logs = logs
        self._first_backoff = backoff
        self._entries: dict[_DeploymentKey, _DeploymentState] = {}  # the least recently used first
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # imports compete with requests for CPU, so one zygote starts at a time

    def find_zygote(self, route: Route) -> DeploymentZygoteClient | None:
        """Return the zygote from which instances of this deployment can be forked now."""
        key = _key(route)
        entry = self._entries.get(key)
        if entry is None or entry.zygote is None or entry.zygote.is_closed:
            return None
        if not route.preload:
            self.remove(route)
            return None
        self._entries[key] = self._entries.pop(key)  # most recently used
        entry.generations.add(route.generation)
        return entry.zygote

    def maybe_preload(self, route: Route, seconds: float) -> None:
        """Start a zygote for this deployment if an instance was slow to start.

        Args:
            route: The deployment.
            seconds: The time from the settings of the instance to its imported handler.
        """
        wanted = self._is_possible and route.preload and route.sandbox != "v1" and route.language == "Python"
        if not wanted or seconds < _SLOW_START_SECONDS:
            return
        entry = self._entries.setdefault(_key(route), _DeploymentState())
        entry.generations.add(route.generation)
        if entry.starting or entry.finished or entry.zygote is not None or self._loop.time() < entry.not_before:
            return
        entry.starting = True
        task = self._loop.create_task(self._preload(route, entry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _preload(self, route: Route, entry: _DeploymentState) -> None:
        try:
            async with self._turn:
                if not await self._loop.run_in_executor(None, _has_packages, local_program(route).code_dir):
                    entry.finished = True
                    return
                while self._entries.get(_key(route)) is entry and self._budget.reserve(route.memory):
                    entry.memory = route.memory
                    if await self._attempt(route, entry):
                        return
                    self._release_memory(entry)
        finally:
            entry.starting = False
            if entry.zygote is None:
                self._release_memory(entry)

    async def _attempt(self, route: Route, entry: _DeploymentState) -> bool:
        """Start a zygote.

        Returns:
            Whether to stop; ``False`` if another attempt with fewer imports makes sense at once.
        """
        try:
            async with asyncio.timeout(_IMPORT_TIMEOUT):
                zygote, preloaded = await self._factory.start_deployment_zygote(route, frozenset(entry.excluded))
        except (OSError, TimeoutError) as error:
            self._on_failure(route, entry, str(error) or f"its imports took more than {_IMPORT_TIMEOUT:g} s")
            return True
        if zygote.is_closed and preloaded.ready:
            self._on_failure(route, entry, "it ended after its imports")
            return True
        if (
            preloaded.ready
            and preloaded.seconds >= _MIN_IMPORT_CPU_SECONDS
            and self._entries.get(_key(route)) is entry
        ):
            entry.zygote = zygote
            zygote.lost.add_done_callback(partial(self._on_lost, zygote))
            self._shrink_reservation(entry, preloaded.memory // _MIB + _PREWARMED_FORK_MB)
            return True
        zygote.close()
        if preloaded.excluded:
            return self._exclude(route, entry, preloaded)
        if preloaded.error:
            self._on_failure(route, entry, preloaded.error)
        entry.finished = entry.finished or preloaded.ready
        return True

    def _exclude(self, route: Route, entry: _DeploymentState, result: PreloadResult) -> bool:
        self._logs.write_system(route.function_id, f"preload: excluded {result.excluded}: {result.reason}")
        entry.finished = len(entry.excluded) >= _MAX_EXCLUDED or result.excluded in entry.excluded
        entry.excluded.add(result.excluded)
        return entry.finished

    def _on_failure(self, route: Route, entry: _DeploymentState, reason: str) -> None:
        self._back_off(entry)
        entry.finished = entry.failures >= _MAX_FAILURES
        suffix = "; not tried again until the next deployment" if entry.finished else ""
        self._logs.write_system(route.function_id, f"preload: not possible ({reason}){suffix}")

    def _back_off(self, entry: _DeploymentState) -> None:
        entry.failures += 1
        entry.not_before = self._loop.time() + min(_BACKOFF_MAX, self._first_backoff * 2**entry.failures)

    def _shrink_reservation(self, entry: _DeploymentState, memory: int) -> None:
        """Reduce the reservation to what the zygote uses, and enforce the share of all zygotes."""
        unused = max(0, entry.memory - memory)
        entry.memory -= unused
        self._budget.release(unused)
        while self._reserved > self._budget.limit // _BUDGET_FRACTION and self.evict(exclude=entry):
            pass

    @property
    def _reserved(self) -> int:
        return sum(entry.memory for entry in self._entries.values())

    def evict(self, *, exclude: _DeploymentState | None = None) -> bool:
        """End the least recently used zygote that has no instances: they would end with it.

        Args:
            exclude: A zygote to keep.

        Returns:
            Whether there was one.
        """
        for key, entry in self._entries.items():
            if entry.zygote is not None and entry is not exclude and not entry.zygote.has_instances:
                del self._entries[key]
                self._close_zygote(entry)
                return True
        return False

    def _on_lost(self, zygote: DeploymentZygoteClient, _lost: asyncio.Future[None]) -> None:
        """Note that a zygote ended by itself. A later slow start may replace it, after a delay."""
        for entry in self._entries.values():
            if entry.zygote is zygote:
                entry.zygote = None
                self._back_off(entry)
                self._release_memory(entry)
                return

    def remove(self, route: Route) -> None:
        """Note that this deployment is no longer served. Its zygote ends with the last of its instances.

        Unless another deployment uses it.
        """
        key = _key(route)
        if (entry := self._entries.get(key)) is None:
            return
        entry.generations.discard(route.generation)
        if not entry.generations or not route.preload:
            del self._entries[key]
            self._close_zygote(entry)

    def _close_zygote(self, entry: _DeploymentState) -> None:
        zygote, entry.zygote = entry.zygote, None
        if zygote is not None:
            zygote.close_when_unused()
        self._release_memory(entry)

    def _release_memory(self, entry: _DeploymentState) -> None:
        memory, entry.memory = entry.memory, 0
        if memory:
            self._budget.release(memory)

    def close(self) -> None:
        """Stop starting zygotes."""
        for task in self._tasks:
            task.cancel()
        self._entries.clear()


def _key(route: Route) -> _DeploymentKey:
    """Return what the deployments that can share a zygote have in common: the code as built, and all settings."""
    program = local_program(route)
    return (
        route.function_id,
        program.code_dir,
        (program.interpreter, program.uid, route.handler, route.runtime, route.sandbox),
        (route.name, route.namespace_id, route.privacy, route.memory, route.cpu, route.private_network_id),
        (frozenset(route.environment.items()), route.secret_names),
    )


def _has_packages(code: str) -> bool:
    """Return whether an archive contains third-party packages, apart from fnkit itself."""
    try:
        with os.scandir(Path(code) / "package") as entries:
            return any(entry.name != "fnkit" for entry in entries)
    except OSError:
        return False
