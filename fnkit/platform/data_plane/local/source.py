"""Starts instances on this machine: confined processes, forked from zygotes.

A start takes one of four slots and reserves the memory limit of the function, first in, first out over all
functions, so that a small instance that fits never starves a large one. If memory is short, a deployment zygote or
the instance that has been idle longest is ended first.

It then takes a worker: a fork of the deployment's zygote if there is one, else a pre-warmed worker, else a new
fork. The slot is free again when the handler is imported, after a second at most: slots keep a burst of starts from
thrashing, and a slow import must not delay the others. A deployment whose start was slow gets a zygote.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.engine.scale_down import ScaleDown
from fnkit.platform.data_plane.instance import Instance
from fnkit.platform.data_plane.local.limits import LimitMonitor, MemoryBudget, default_memory_budget
from fnkit.platform.data_plane.local.preloader import Preloader
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess
from fnkit.platform.data_plane.workers.instance import LocalInstance
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.prewarmed import WarmPool
from fnkit.platform.data_plane.workers.process_memory import process_tree, resident_bytes
from fnkit.platform.data_plane.workers.program import WorkerProgram, find_program, local_program, make_program
from fnkit.platform.data_plane.workers.zygote import Storage
from fnkit.platform.model.routing import Route

_MAX_CONCURRENT_STARTS: Final = 4
_SLOT_SECONDS: Final = 1.0
_MIB: Final = 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngineSettings:
    """Settings of the local engine.

    Attributes:
        level: The isolation level.
        runtime_directory: Private to this process; holds what lives as long as it.
        logs_directory: Holds the logs of functions.
        code_directory: Contains the code of all functions.
        scale_down: When idle instances end.
        queue_per_instance: How many requests may be queued per instance of ``max_scale`` before requests fail with
            503.
        prewarmed: The number of pre-warmed workers for each interpreter.
        start_seconds: How long the import of a handler may take (5 minutes on the real platform).
        memory_budget: MB for all instances; 0 for half of the machine's memory.
        hard_cpu: Limit functions to their mVCPU, instead of using it as a weight only.
        disks_directory: Holds what instances write to a disk; ``None`` for a part of the runtime directory.
    """

    level: Level
    runtime_directory: Path
    logs_directory: Path
    code_directory: Path
    scale_down: ScaleDown = field(default_factory=ScaleDown)
    queue_per_instance: int = 100
    prewarmed: int = 4
    start_seconds: float = 300.0
    memory_budget: int = 0
    hard_cpu: bool = False
    disks_directory: Path | None = None


class LocalInstanceSource:
    """An ``InstanceSource`` of processes on this machine.

    Args:
        settings: Settings.
        logs: Receives the output of instances, and messages about them.

    Attributes:
        retry: Lets the start that waits for memory try again.

    Raises:
        OSError: The isolation level needs cgroups, and they cannot be created here.
    """

    def __init__(self, settings: LocalEngineSettings, logs: LogWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._factory = WorkerFactory(
            settings.level,
            settings.runtime_directory,
            settings.disks_directory or settings.runtime_directory / "disks",
            settings.code_directory,
            logs,
            hard_cpu=settings.hard_cpu,
        )
        self._budget = MemoryBudget(settings.memory_budget or default_memory_budget())
        self.retry = self._budget.retry  # without a step in between: each request calls it
        self._warm_pool = WarmPool(self._factory, settings.prewarmed)
        self._preloader = Preloader(self._factory, self._budget, logs)
        self._limit_monitor = LimitMonitor(counts_memory=settings.level is not Level.CGROUP)
        self._logs = logs
        self._start_seconds = settings.start_seconds
        self._instances: dict[str, LocalInstance] = {}  # by name
        self._can_start_ahead = settings.level.has_namespaces
        self._warned: set[tuple[str, int]] = set()  # deployments of which a start waits for memory
        self._turn = asyncio.Lock()
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_STARTS)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def storage(self) -> Storage:
        """Where the roots of instances are written to; known once one has started."""
        return self._factory.storage

    @property
    def memory_used(self) -> int:
        """MB that instances and deployment zygotes have reserved."""
        return self._budget.used

    @property
    def memory_limit(self) -> int:
        """MB that may be reserved."""
        return self._budget.limit

    # Starting

    async def admit(
        self,
        route: Route,
        *,
        is_needed: Callable[[], bool],
        is_releasing_memory: Callable[[], bool],
        evict_idle: Callable[[], bool],
    ) -> bool:
        """Wait for the turn of a start, for a slot and for memory."""
        memory = route.reserved_memory
        async with self._turn:
            await self._slots.acquire()
            while is_needed() and memory <= self._budget.limit:
                if self._budget.reserve(memory):
                    return True
                used = self._budget.used
                # Only one thing at a time, and none while an instance is ending: what one frees is usually enough.
                # Deployment zygotes go before idle instances.
                if not (is_releasing_memory() or self._preloader.evict() or evict_idle()):
                    self._warn_budget(route)
                if self._budget.used == used:  # else a zygote has ended, and its memory is free already
                    await self._budget.wait_for_retry()
            self._slots.release()
        if is_needed():
            raise OSError(f"its {memory} MB are more than the memory budget allows")
        return False

    def _warn_budget(self, route: Route) -> None:
        """Warn once until the next instance of the deployment is started."""
        if (key := (route.function_id, route.generation)) not in self._warned:
            self._warned.add(key)
            message = f"waiting: the memory budget of {self._budget.limit} MB (--memory-budget) is in use"
            self._logs.write_system(route.function_id, message)
            _log.warning("%s %s", route.name, message)

    async def start(self, route: Route, on_idle: Callable[[Instance], None]) -> LocalInstance:
        """Assign a worker to this deployment. It returns slot and memory if that fails."""
        try:
            instance = await self._acquire_worker(route)
            self._factory.assign(instance, route, on_idle)
        except OSError as error:
            self._slots.release()
            self._budget.release(route.reserved_memory)
            raise OSError(f"{local_program(route).interpreter}: {error}") from error
        self._instances[instance.name] = instance
        self._limit_monitor.add(instance, memory=route.reserved_memory * _MIB)
        return instance

    async def _acquire_worker(self, route: Route) -> LocalInstance:
        """Return a worker that waits for its settings.

        Raises:
            OSError: No worker could be forked.
        """
        zygote = self._preloader.find_zygote(route)
        if zygote is not None:  # if it has just ended, the zygote of the interpreter takes over
            with contextlib.suppress(OSError):
                return await self._factory.fork_preloaded(zygote)
        return await self._warm_pool.acquire(self._find_program(route))

    def _find_program(self, route: Route) -> WorkerProgram:
        return find_program(route, can_start_ahead=self._can_start_ahead)

    def adopt(self, _route: Route, _on_idle: Callable[[Instance], None]) -> Sequence[LocalInstance]:
        """Return nothing: instances end with the process that has started them."""
        return ()

    def discard_leftovers(self) -> None:
        """Do nothing: there are none."""

    async def wait_until_started(self, instance: Instance) -> bool:
        """Wait until the handler is imported. The slot of the start is released here."""
        started = instance.started
        await asyncio.wait((started,), timeout=min(_SLOT_SECONDS, self._start_seconds))
        self._slots.release()
        # Refilled only now, so that the fork does not compete with the start.
        zygote = self._instances[instance.name].process.zygote
        if isinstance(zygote, DeploymentZygoteClient):
            self._spawn(self._factory.prewarm(zygote))
        else:
            self._warm_pool.refill(self._instances[instance.name].program)
        if not started.done():
            await asyncio.wait((started,), timeout=self._start_seconds - _SLOT_SECONDS)
        if not started.done():
            instance.kill(f"its handler was not imported within {self._start_seconds:g} s")
        return started.done() and started.result()

    def on_started(self, route: Route, instance: Instance) -> None:
        """Start a zygote for a deployment whose start was slow."""
        self._warned.discard((route.function_id, route.generation))
        # A start from the deployment's zygote was slow for another reason than its imports.
        if not isinstance(self._instances[instance.name].process.zygote, DeploymentZygoteClient):
            self._preloader.maybe_preload(route, instance.ready_at - instance.start_began_at)

    def on_ended(self, route: Route, instance: Instance) -> None:
        """Release the memory of an instance."""
        ended = self._instances.pop(instance.name)
        self._budget.release(route.reserved_memory)
        if instance.was_killed_externally and not instance.was_ready:
            self._warm_pool.discard_all(ended.program)

    def retire(self, route: Route) -> None:
        """Note that a deployment is no longer served: its zygote ends with the last of its instances."""
        self._warned.discard((route.function_id, route.generation))
        self._preloader.remove(route)

    def prestart(self, routes: Iterable[Route]) -> None:
        """Start the zygotes and pre-warmed workers of these deployments."""
        for program in set(map(self._find_program, routes)):
            self._warm_pool.refill(program)

    def prestart_interpreter(self, language: str, interpreter: str, memory: int) -> None:
        """Start the zygote and the pre-warmed workers of an interpreter."""
        self._warm_pool.refill(make_program(language, interpreter, memory, is_ahead=self._can_start_ahead))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Running instances

    def memory_usage(self, instances: Iterable[Instance]) -> int | None:
        """Return the memory of these instances in bytes; ``None`` if this machine reports it for none of them.

        It is read from the cgroups, which count everything that handlers started, and shared pages once. Without
        cgroups it is the sum of the resident sets of the processes, which include the pages shared with the zygote.
        """
        readings = [_memory_bytes(self._instances[instance.name].process) for instance in instances]
        known = [reading for reading in readings if reading is not None]
        return sum(known) if known or not readings else None

    def close(self) -> None:
        """End every instance and every zygote."""
        self._warm_pool.close()
        self._preloader.close()
        self._limit_monitor.close()
        self._factory.close()

    async def wait_closed(self) -> None:
        """Do nothing: the kernel ends what was killed."""


def _memory_bytes(process: ForkedProcess) -> int | None:
    if process.groups is not None:
        return process.groups.memory_bytes()
    if not process.pid or sys.platform != "linux":
        return None
    return sum(map(resident_bytes, process_tree(process.pid))) or None
