"""The engine of this machine: instances are confined processes, forked from zygotes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.counters import CounterRegistry, end_label
from fnkit.platform.data_plane.engine.metrics import EngineMetrics
from fnkit.platform.data_plane.engine.pool import MemoryBudget, Pool, ScaleDown, default_memory_budget
from fnkit.platform.data_plane.engine.starter import InstanceStarter
from fnkit.platform.data_plane.interface import (
    DeployResult,
    FailureKind,
    InstanceCounts,
    PendingRequest,
    RequestFailure,
    ResponseHandler,
)
from fnkit.platform.data_plane.workers.call import LocalPendingRequest
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.isolation import ControlGroups, Level
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.metrics import EngineMetricsSnapshot
from fnkit.platform.model.routing import Route

__all__ = ["EngineSettings", "LocalEngine"]

_SWEEP_VIRTUAL_SECONDS: Final = 5.0
_SWEEP_MIN_SECONDS: Final = 0.05
_SWEEP_MAX_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Settings of the local engine.

    Attributes:
        level: The isolation level.
        runtime_directory: Private to this process; holds what lives as long as it.
        logs_directory: Holds the logs of functions.
        scale_down: When idle instances end.
        queue_per_instance: How many requests may be queued per instance of ``max_scale`` before requests fail with
            503.
        prewarmed: The number of pre-warmed workers for each interpreter.
        start_seconds: How long the import of a handler may take (5 minutes on the real platform).
        memory_budget: MB for all instances; 0 for half of the machine's memory.
        hard_cpu: Limit functions to their mVCPU, instead of using it as a weight only.
        disks_directory: Holds disks that are not in memory; ``None`` for a part of the runtime directory.
    """

    level: Level
    runtime_directory: Path
    logs_directory: Path
    scale_down: ScaleDown = field(default_factory=ScaleDown)
    queue_per_instance: int = 100
    prewarmed: int = 4
    start_seconds: float = 300.0
    memory_budget: int = 0
    hard_cpu: bool = False
    disks_directory: Path | None = None


class LocalEngine:
    """An ``Engine`` that runs instances on this machine. Not thread-safe: everything runs in the event loop.

    Args:
        settings: Settings.
        clock: The virtual clock, which decides when instances end.
        on_exit: Called with the deployment and the reason when an instance has ended unexpectedly.
    """

    def __init__(self, settings: EngineSettings, clock: SyncedClock, on_exit: Callable[[Route, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._clock = clock
        self._on_exit = on_exit
        self.counters = CounterRegistry()
        self.logs = LogWriter(settings.logs_directory, clock.now_ns, self._loop.time, self._loop.call_later)
        groups = ControlGroups() if settings.level is Level.CGROUP else None
        self._workers = WorkerFactory(
            settings.level,
            groups,
            settings.runtime_directory,
            settings.disks_directory or settings.runtime_directory / "disks",
            self.logs,
            pool_size=settings.prewarmed,
        )
        self._budget = MemoryBudget(settings.memory_budget or default_memory_budget())
        self._starter = InstanceStarter(
            self._workers,
            self._budget,
            start_seconds=settings.start_seconds,
            evict=self._evict_one,
            on_budget_exhausted=self._warn_budget,
            logs=self.logs,
            hard_cpu=settings.hard_cpu,
        )
        self._workers.on_zygote_lost(self._starter.preloader.on_zygote_lost)
        self._pools: dict[str, Pool] = {}
        self._metrics = EngineMetrics(self.counters, self._pools, self.logs)
        self._pending: dict[str, Pool] = {}
        self._retired: set[Pool] = set()
        self._shrinkable: set[Pool] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    # Engine

    def deploy(self, route: Route, on_done: Callable[[DeployResult], None]) -> None:
        """Start one instance and switch to this deployment when it is ready.

        A deployment whose instances can serve the new one, because only names, scale or privacy changed, is updated
        without a start.

        Args:
            route: The deployment.
            on_done: Receives the result. Not called if a newer deployment replaces this one before.
        """
        superseded = self._pending.pop(route.function_id, None)
        if superseded is not None:
            self._retire(superseded, None)
        current = self._pools.get(route.function_id)
        if current is not None and _is_compatible(current.route, route):
            current.route = route
            current.grow()
            on_done(DeployResult(route))
            return

        def on_first_start(reason: str | None) -> None:
            if self._pending.get(route.function_id) is not pool:
                return  # replaced by a newer deployment
            del self._pending[route.function_id]
            if reason is None:
                self._switch(pool)
            else:
                self._retire(pool, None)
            on_done(DeployResult(route, reason))

        pool = self._create_pool(route, on_first_start)
        self._pending[route.function_id] = pool
        pool.start_one()

    def resume(self, route: Route) -> None:
        """Serve a deployment that was accepted before a restart, without starting an instance first."""
        self._switch(self._create_pool(route, lambda _: None))

    def prestart(self, interpreters: Iterable[str]) -> None:
        """Start the zygotes and pre-warmed workers of these interpreters."""
        self._workers.prestart(interpreters)

    def remove(self, function_id: str) -> None:
        """Stop serving this function. Its instances end when they have completed their requests."""
        for pools in (self._pools, self._pending):
            pool = pools.pop(function_id, None)
            if pool is not None:
                self._retire(pool, None)
        self.logs.close_function(function_id)
        self.counters.remove(function_id)

    def acquire(self, function_id: str, request_id: str, handler: ResponseHandler) -> PendingRequest | None:
        """Request an instance, first in, first out. Return ``None`` if ``on_failure`` was already called."""
        pool = self._pools.get(function_id)
        if pool is None:
            handler.on_failure(RequestFailure(FailureKind.UNKNOWN, "there is no such function"))
            return None
        return pool.acquire(request_id, handler)

    def cancel(self, request: PendingRequest) -> None:
        """Cancel a request whose client is gone."""
        if isinstance(request, LocalPendingRequest):
            request.handler = None
            request.resume()  # a slow client may have paused the response; the instance must get rid of it
            if request.assigned_instance is None:
                for pool in (*self._pools.values(), *self._pending.values()):
                    if request in pool.queue:
                        pool.cancel(request)
                        return

    def collect_metrics(self) -> EngineMetricsSnapshot:
        """Return a snapshot of all metrics."""
        functions = self._metrics.collect(self._loop.time())
        return EngineMetricsSnapshot(
            functions=functions, memory_used_mb=self._budget.used, memory_limit_mb=self._budget.limit
        )

    def instance_counts(self) -> Iterable[InstanceCounts]:
        """Return the instances of every function."""
        for function_id, pool in self._pools.items():
            busy = pool.busy
            yield InstanceCounts(
                function_id=function_id,
                generation=pool.route.generation,
                idle=len(pool.idle),
                busy=busy,
                starting=pool.starting,
                queued=len(pool.queue),
            )

    # State and time

    def route(self, function_id: str) -> Route | None:
        """Return the deployment of a function that serves requests."""
        pool = self._pools.get(function_id)
        return pool.route if pool is not None else None

    def pending_route(self, function_id: str) -> Route | None:
        """Return the deployment of a function that is being started."""
        pool = self._pending.get(function_id)
        return pool.route if pool is not None else None

    @property
    def min_scale_reached(self) -> bool:
        """Whether every deployment has its ``min_scale`` instances, or has tried and failed."""
        return all(pool.min_scale_reached for pool in self._pools.values())

    def sweep(self) -> None:
        """End instances that were idle for too long. Also called when the virtual clock was moved."""
        now = self._clock.now()
        for pool in list(self._shrinkable):
            pool.sweep(self._settings.scale_down, now)
            if pool.oldest_idle() is None:
                self._shrinkable.discard(pool)
        self.logs.log_dropped_lines()
        self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._shrinkable and self._clock.speed > 0:
            seconds = min(_SWEEP_MAX_SECONDS, max(_SWEEP_MIN_SECONDS, _SWEEP_VIRTUAL_SECONDS / self._clock.speed))
            self._sweeper = self._loop.call_later(seconds, self.sweep)

    async def drain(self, seconds: float) -> None:
        """Wait until no request is left, then fail those that remain.

        Args:
            seconds: How long to wait at most.
        """
        deadline = self._loop.time() + seconds
        while self._loop.time() < deadline:
            pools = (*self._pools.values(), *self._retired)
            if not any(pool.queue or pool.busy for pool in pools):
                return
            await asyncio.sleep(0.02)
        for pool in (*self._pools.values(), *self._retired):
            pool.fail_all("the platform is stopping")

    def close(self) -> None:
        """End every instance now."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for function_id in list(self._pools) + list(self._pending):
            self.remove(function_id)
        self._starter.close()
        self._workers.close()
        self.logs.close()

    # PoolCallbacks

    def now(self) -> float:
        """Return the virtual time."""
        return self._clock.now()

    def request_start(self, pool: Pool) -> None:
        """Queue the start of an instance for this pool."""
        self._starter.enqueue(pool)

    def on_ready(self, pool: Pool, instance: Instance) -> None:
        """Note that an instance has started."""
        self._starter.on_ready(pool.route, instance)

    def on_idle(self, pool: Pool) -> None:
        """Schedule the end of idle instances, and continue starts that wait for memory."""
        if pool not in self._shrinkable and pool.oldest_idle() is not None:
            self._shrinkable.add(pool)
            if self._sweeper is None:
                self._schedule_sweep()
        self._starter.start_queued()  # a start may be waiting for the memory of an idle instance

    def on_ended(self, pool: Pool, instance: Instance, reason: str, *, expected: bool) -> None:
        """Count and log the end of an instance, and free its memory."""
        pool.counters.ended[end_label(reason, expected=expected)] += 1
        self._starter.on_start_ended(instance)
        self._starter.release_memory(pool.route.memory)
        if pool.retired and not pool.instances:
            self._retired.discard(pool)
        if not expected:
            self.logs.write_system(pool.route.function_id, f"instance ended: {reason}", instance=instance.name)
            self._on_exit(pool.route, reason)
        if pool.retired and not pool.instances and not self._is_served(pool.route.function_id):
            self.logs.close_function(pool.route.function_id)  # the last lines of the instance opened the log again

    def _is_served(self, function_id: str) -> bool:
        return function_id in self._pools or function_id in self._pending

    # Internals

    def _create_pool(self, route: Route, on_first_start: Callable[[str | None], None]) -> Pool:
        queue = self._settings.queue_per_instance * max(1, route.max_scale)
        return Pool(route, self, self.counters.get_or_create(route), queue, on_first_start)

    def _switch(self, pool: Pool) -> None:
        old = self._pools.get(pool.route.function_id)
        self._pools[pool.route.function_id] = pool
        if old is not None:
            self._retire(old, pool)
        pool.grow()

    def _retire(self, pool: Pool, successor: Pool | None) -> None:
        self._shrinkable.discard(pool)
        self._starter.preloader.remove(pool.route)
        if pool.instances:
            self._retired.add(pool)
        pool.retire(successor)

    def _evict_one(self) -> bool:
        """End the instance that has been idle longest, so that another function can start.

        Only one at a time, and none while another is ending: what one frees is usually enough, and the next start
        asks again. Deployment zygotes go before idle instances.

        Returns:
            Whether memory is about to become free.
        """
        if any(pool.is_releasing_memory for pool in (*self._pools.values(), *self._retired)):
            return True
        if self._starter.preloader.evict():
            return True
        idle = [(instance.idle_since, pool, instance) for pool in self._shrinkable
                if (instance := pool.oldest_idle()) is not None]  # fmt: skip
        if not idle:
            return False
        _, pool, instance = min(idle, key=lambda entry: entry[0])
        pool.evict(instance)
        return True

    def _warn_budget(self, pool: Pool) -> None:
        if not pool.budget_warning_logged:
            pool.budget_warning_logged = True
            message = f"waiting: the memory budget of {self._budget.limit} MB (--memory-budget) is in use"
            self.logs.write_system(pool.route.function_id, message)
            _log.warning("%s %s", pool.route.name, message)


def _is_compatible(current: Route, wanted: Route) -> bool:
    """Return whether instances of one deployment can serve the other: only access and scale differ."""
    return (
        current.generation == wanted.generation
        and current.code_dir == wanted.code_dir
        and current.environment == wanted.environment
        and (current.runtime, current.interpreter, current.handler, current.sandbox)
        == (wanted.runtime, wanted.interpreter, wanted.handler, wanted.sandbox)
        and (current.memory, current.cpu, current.uid) == (wanted.memory, wanted.cpu, wanted.uid)
        and (current.name, current.privacy) == (wanted.name, wanted.privacy)
    )
