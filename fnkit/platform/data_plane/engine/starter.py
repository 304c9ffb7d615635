"""Starts instances in order, a few at a time, within the memory budget.

A start holds one of four slots until its handler is imported, but for one second at most: slots keep a burst of
starts from thrashing, and a slow import must not delay the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Final

from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.data_plane.engine.pool import MemoryBudget, Pool
from fnkit.platform.data_plane.engine.preloader import Preloader
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient, PreloadResult
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.instance import Instance, WorkerState
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.data_plane.workers.resource_usage import LimitMonitor
from fnkit.platform.data_plane.workers.settings import StartupConfig
from fnkit.platform.model.log_record import LogStream
from fnkit.platform.model.routing import Route

__all__ = ["InstanceStarter"]

_MAX_CONCURRENT_STARTS: Final = 4
_SLOT_SECONDS: Final = 1.0
_MIB: Final = 1024 * 1024


class InstanceStarter:
    """Executes requested starts.

    Args:
        workers: Provides workers.
        budget: The memory budget.
        start_seconds: How long the import of a handler may take.
        evict: Frees the memory of an idle instance. Returns whether memory is about to become free.
        on_budget_exhausted: Called with the pool whose start waits for memory that nothing frees.
        logs: Receives the output of imports in deployment zygotes.
        hard_cpu: Limit functions to their mVCPU, instead of using it as a weight only.
    """

    def __init__(
        self,
        workers: WorkerFactory,
        budget: MemoryBudget,
        *,
        start_seconds: float,
        evict: Callable[[], bool],
        on_budget_exhausted: Callable[[Pool], None],
        logs: LogWriter,
        hard_cpu: bool,
    ) -> None:
        self._workers = workers
        self._settings = StartupConfig(workers, hard_cpu=hard_cpu)
        self._limit_monitor = LimitMonitor(counts_memory=workers.level is not Level.CGROUP)
        self._logs = logs
        possible = workers.level is not Level.LANDLOCK
        self.preloader = Preloader(
            self, budget, possible=possible, on_freed=self.release_memory, log=self._log_system
        )
        self._budget = budget
        self._start_seconds = start_seconds
        self._evict = evict
        self._on_budget_exhausted = on_budget_exhausted
        self._queue: deque[Pool] = deque()
        self._free_slots = _MAX_CONCURRENT_STARTS
        self._slot_holders: set[Instance] = set()
        self._start_timeouts: dict[Instance, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def enqueue(self, pool: Pool) -> None:
        """Queue the start of an instance for this pool."""
        self._queue.append(pool)
        self.start_queued()

    def start_queued(self) -> None:
        """Start what can be started now. Called whenever a slot or memory became free."""
        for _ in range(len(self._queue)):
            if self._free_slots == 0 or not self._queue:
                return
            pool = self._queue.popleft()
            if not pool.is_start_needed:
                pool.on_start_cancelled()
            elif pool.route.memory > self._budget.limit:
                pool.on_start_failed(f"its {pool.route.memory} MB are more than the memory budget allows")
            elif self._budget.reserve(pool.route.memory):
                self._free_slots -= 1
                self._launch(pool)
            else:
                self._queue.appendleft(pool)
                if not self._evict():
                    self._on_budget_exhausted(pool)
                return  # in order: small instances that fit must not starve a large one

    def _launch(self, pool: Pool) -> None:
        self._spawn(self._start(pool))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, pool: Pool) -> None:
        route = pool.route
        try:
            instance, settings = await self._acquire(route)
        except OSError as error:
            self._free_slots += 1
            self._budget.release(route.memory)
            pool.on_start_failed(f"{route.interpreter}: {error}")
            self.start_queued()
            return
        pool.instances.add(instance)
        self._slot_holders.add(instance)
        instance.assign(pool, route.function_id, settings)
        pool.on_launch(instance)
        on_disk = DISK_MAX_BYTES if route.sandbox == "v1" else None
        self._limit_monitor.add(instance, memory=route.memory * _MIB, disk=on_disk)
        self._loop.call_later(_SLOT_SECONDS, self.release_slot, instance)
        self._start_timeouts[instance] = self._loop.call_later(
            self._start_seconds, self._on_start_timeout, instance
        )

    async def _acquire(self, route: Route) -> tuple[Instance, bytes]:
        """Return a worker for this deployment, and its settings.

        Raises:
            OSError: No worker could be forked, or its settings could not be prepared.
        """
        instance = await self._acquire_worker(route)
        try:
            return instance, self._settings.encode_for_instance(route, instance)
        except OSError:
            instance.kill("its settings could not be prepared")
            raise

    async def _acquire_worker(self, route: Route) -> Instance:
        zygote = self.preloader.find_zygote(route)
        if zygote is not None:  # if it has just ended, the zygote of the interpreter takes over
            with contextlib.suppress(OSError):
                return await self._workers.acquire_preloaded(zygote)
        return await self._workers.acquire(route.interpreter)

    async def preload(self, route: Route, excluded: frozenset[str]) -> tuple[DeploymentZygoteClient, PreloadResult]:
        """Start a deployment zygote.

        Args:
            route: The deployment.
            excluded: Modules that it must not import.

        Raises:
            OSError: It ended before it reported a result.
        """

        def on_lines(stream: LogStream, lines: Iterable[bytes]) -> None:
            self._logs.write(route.function_id, zygote.name, "", stream, lines)

        owner = self._settings.target_uid(route)
        zygote = self._workers.create_deployment_zygote(route.interpreter, on_lines, owner)
        try:
            preloaded = await zygote.start(self._settings.encode_for_zygote(route, zygote, excluded))
            if preloaded.ready:
                await self._workers.prewarm_fork(zygote)
        except BaseException:
            zygote.close()
            self._workers.discard(zygote)
            raise
        return zygote, preloaded

    def on_ready(self, route: Route, instance: Instance) -> None:
        """Note that an instance has started: the next start can proceed, and a slow one may get a zygote."""
        self.on_start_ended(instance)
        if not isinstance(instance.zygote, DeploymentZygoteClient):
            self.preloader.maybe_preload(route, instance.ready_at - instance.start_began_at)

    def _on_start_timeout(self, instance: Instance) -> None:
        if instance.state is WorkerState.STARTING:
            instance.kill(f"its handler was not imported within {self._start_seconds:g} s")

    def on_start_ended(self, instance: Instance) -> None:
        """Note that a start is over: the instance is ready or has ended."""
        if (timer := self._start_timeouts.pop(instance, None)) is not None:
            timer.cancel()
        self.release_slot(instance)

    def release_slot(self, instance: Instance) -> None:
        """Release the slot of a start that is over or takes too long."""
        if instance in self._slot_holders:
            self._slot_holders.discard(instance)
            self._free_slots += 1
            # Refilled only now, so that the fork does not compete with the start.
            if isinstance(instance.zygote, DeploymentZygoteClient):
                self._spawn(self._workers.prewarm_fork(instance.zygote))
            else:
                self._workers.refill(instance.zygote.interpreter)
            self.start_queued()

    def release_memory(self, memory: int) -> None:
        """Return memory to the budget, and continue starts that wait for it."""
        self._budget.release(memory)
        self.start_queued()

    def _log_system(self, route: Route, message: str) -> None:
        self._logs.write_system(route.function_id, message)

    def close(self) -> None:
        """Stop starting and monitoring instances."""
        self.preloader.close()
        self._limit_monitor.close()
