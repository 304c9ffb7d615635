"""Starts and ends instances: one task follows each instance from the decision to start it to its end.

A start (``Scaler._run``) goes through these steps, in this order:

1. It waits for its turn: first in, first out over all functions, so that a small instance that fits never starves
   a large one.
2. It takes one of four slots, and reserves the memory limit of the function. If memory is short, a deployment
   zygote or the instance that has been idle longest is ended first.
3. It takes a worker: a fork of the deployment's zygote if there is one, else a pre-warmed worker, else a new fork.
4. It sends the settings, and waits until the handler is imported. The slot is free again after a second at most:
   slots keep a burst of starts from thrashing, and a slow import must not delay the others.
5. The pool uses the instance. A deployment whose start was slow gets a zygote.
6. When the instance ends, its memory is free again, and the pool may need another one.

Between 5 and 6 the instance answers requests. It calls ``_on_idle`` after each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.engine.limits import LimitMonitor, MemoryBudget
from fnkit.platform.data_plane.engine.pool import Pool, ScaleDown
from fnkit.platform.data_plane.engine.preloader import Preloader
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.data_plane.workers.prewarmed import WarmPool
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import Route

_MAX_CONCURRENT_STARTS: Final = 4
_SLOT_SECONDS: Final = 1.0
_SWEEP_VIRTUAL_SECONDS: Final = 5.0
_SWEEP_MIN_SECONDS: Final = 0.05
_SWEEP_MAX_SECONDS: Final = 1.0
_MIB: Final = 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
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


class Scaler:
    """Starts and ends the instances of all pools.

    Args:
        settings: Settings.
        factory: Creates workers.
        budget: The memory budget.
        clock: The virtual clock, which decides when idle instances end.
        logs: Receives messages about instances.
        on_exit: Called with the deployment and the reason when an instance has ended unexpectedly.

    Attributes:
        warm_pool: Has the pre-warmed workers of interpreters.
        preloader: Has the zygotes of deployments.
        pools: The pools that have an instance, retired ones included.
    """

    def __init__(
        self,
        settings: EngineSettings,
        factory: WorkerFactory,
        budget: MemoryBudget,
        clock: SyncedClock,
        logs: LogWriter,
        on_exit: Callable[[Route, str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._factory = factory
        self.warm_pool = WarmPool(factory, settings.prewarmed)
        self.preloader = Preloader(factory, budget, logs)
        self._limit_monitor = LimitMonitor(counts_memory=factory.level is not Level.CGROUP)
        self._budget = budget
        self._clock = clock
        self._logs = logs
        self._on_exit = on_exit
        self._scale_down = settings.scale_down
        self._start_seconds = settings.start_seconds
        self.pools: set[Pool] = set()
        self._shrinkable: set[Pool] = set()  # pools with an idle instance that may end
        self._turn = asyncio.Lock()
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_STARTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def start_missing(self, pool: Pool) -> None:
        """Start the instances that this pool needs. Called after whatever may have changed their number."""
        for _ in range(pool.missing):
            pool.starting += 1
            self._spawn(self._run(pool))

    # One instance

    async def _run(self, pool: Pool) -> None:
        """Start an instance and follow it to its end."""
        if not await self._reserve(pool):
            return
        # The memory and the slot are held from here on: each way out below returns both.
        try:
            instance = await self._acquire_worker(pool.route)
            self._factory.assign(instance, pool.route, partial(self._on_idle, pool))
        except OSError as error:
            self._slots.release()
            self._budget.release(pool.route.memory)
            self._start_missing_after(pool.on_start_failed(f"{pool.route.program.interpreter}: {error}"), pool)
            return
        pool.add(instance)
        self.pools.add(pool)
        self._limit_monitor.add(instance, memory=pool.route.memory * _MIB)
        if await self._wait_until_started(instance):
            if pool.on_ready(instance):
                self._note_idle(pool, instance)
            # A start from the deployment's zygote was slow for another reason than its imports.
            if not isinstance(instance.process.zygote, DeploymentZygoteClient):
                self.preloader.maybe_preload(pool.route, instance.ready_at - instance.start_began_at)
        self._on_ended(pool, instance, await instance.ended)

    async def _reserve(self, pool: Pool) -> bool:
        """Wait for the turn of a start, for a slot and for memory. Return ``False`` if it is over without them."""
        memory = pool.route.memory
        async with self._turn:
            await self._slots.acquire()
            while pool.is_start_needed and memory <= self._budget.limit:
                if self._budget.reserve(memory):
                    return True
                used = self._budget.used
                if not self._evict_one():
                    self._warn_budget(pool)
                if self._budget.used == used:  # else a zygote has ended, and its memory is free already
                    await self._budget.wait_for_retry()
            self._slots.release()
        if pool.is_start_needed:
            reason = f"its {memory} MB are more than the memory budget allows"
            self._start_missing_after(pool.on_start_failed(reason), pool)
        else:
            pool.on_start_cancelled()
        return False

    async def _acquire_worker(self, route: Route) -> Instance:
        """Return a worker that waits for its settings.

        Raises:
            OSError: No worker could be forked.
        """
        zygote = self.preloader.find_zygote(route)
        if zygote is not None:  # if it has just ended, the zygote of the interpreter takes over
            with contextlib.suppress(OSError):
                return await self._factory.fork_preloaded(zygote)
        return await self.warm_pool.acquire(route.program.interpreter)

    async def _wait_until_started(self, instance: Instance) -> bool:
        """Wait until the handler is imported. Return ``False`` if the instance ended instead, or takes too long.

        The slot of the start is released here.
        """
        started = instance.started
        await asyncio.wait((started,), timeout=min(_SLOT_SECONDS, self._start_seconds))
        self._slots.release()
        # Refilled only now, so that the fork does not compete with the start.
        zygote = instance.process.zygote
        if isinstance(zygote, DeploymentZygoteClient):
            self._spawn(self._factory.prewarm(zygote))
        else:
            self.warm_pool.refill(zygote.interpreter)
        if not started.done():
            await asyncio.wait((started,), timeout=self._start_seconds - _SLOT_SECONDS)
        if not started.done():
            instance.kill(f"its handler was not imported within {self._start_seconds:g} s")
        return started.done() and started.result()

    def _on_idle(self, pool: Pool, instance: Instance) -> None:
        """An instance has completed a response."""
        if pool.on_idle(instance):
            self._note_idle(pool, instance)

    def _note_idle(self, pool: Pool, instance: Instance) -> None:
        instance.idle_since = self._clock.now()
        if pool not in self._shrinkable and pool.oldest_idle() is not None:
            self._shrinkable.add(pool)
            if self._sweeper is None:
                self._schedule_sweep()
        self._budget.retry()  # a start may be waiting for the memory of an idle instance

    def _on_ended(self, pool: Pool, instance: Instance, reason: str) -> None:
        route, expected = pool.route, pool.is_end_expected(instance)  # the pool forgets it in ``on_ended``
        delay = pool.on_ended(instance, reason)
        if not pool.instances:
            self.pools.discard(pool)
        self._budget.release(route.memory)
        if not expected:
            self._logs.write_system(route.function_id, f"instance ended: {reason}", instance=instance.name)
            self._on_exit(route, reason)
        if instance.was_killed_externally and not instance.was_ready:
            self.warm_pool.discard_all(instance.process.zygote.interpreter)
        self._start_missing_after(delay, pool)

    def _start_missing_after(self, seconds: float, pool: Pool) -> None:
        if seconds:
            self._loop.call_later(seconds, self.start_missing, pool)
        else:
            self.start_missing(pool)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Ending instances

    def retire(self, pool: Pool, successor: Pool | None) -> None:
        """Retire a pool, and the zygote of its deployment."""
        self._shrinkable.discard(pool)
        self.preloader.remove(pool.route)
        pool.retire(successor)
        self._budget.retry()  # its starts are not needed any more

    def sweep(self) -> None:
        """End instances that were idle for too long. Also called when the virtual clock was moved."""
        now = self._clock.now()
        for pool in list(self._shrinkable):
            pool.sweep(self._scale_down, now)
            if pool.oldest_idle() is None:
                self._shrinkable.discard(pool)
        self._logs.log_dropped_lines()
        self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        # On a manual clock nothing becomes due between two moves, and each move calls ``sweep``.
        if self._shrinkable and self._clock.speed > 0:
            seconds = min(_SWEEP_MAX_SECONDS, max(_SWEEP_MIN_SECONDS, _SWEEP_VIRTUAL_SECONDS / self._clock.speed))
            self._sweeper = self._loop.call_later(seconds, self.sweep)

    def _evict_one(self) -> bool:
        """End the instance that has been idle longest, so that another function can start.

        Only one at a time, and none while another is ending: what one frees is usually enough, and the next start
        asks again. Deployment zygotes go before idle instances.

        Returns:
            Whether memory is about to become free.
        """
        if any(pool.is_releasing_memory for pool in self.pools):
            return True
        if self.preloader.evict():
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
            self._logs.write_system(pool.route.function_id, message)
            _log.warning("%s %s", pool.route.name, message)

    def close(self) -> None:
        """Stop starting and monitoring instances."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.warm_pool.close()
        self.preloader.close()
        self._limit_monitor.close()
