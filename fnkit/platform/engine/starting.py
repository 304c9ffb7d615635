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
from fnkit.platform.engine.budget import MemoryBudget
from fnkit.platform.engine.deployment_zygote import DeploymentZygote, Preloaded
from fnkit.platform.engine.instance import Instance, InstanceState
from fnkit.platform.engine.instance_settings import SettingsWriter
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.engine.nursery import Nursery
from fnkit.platform.engine.pool import Pool
from fnkit.platform.engine.preloads import Preloads
from fnkit.platform.engine.watcher import Watcher
from fnkit.platform.log_lines import Stream
from fnkit.platform.routing import Route

__all__ = ["Starter"]

_TURNS: Final = 4
_TURN_SECONDS: Final = 1.0
_MIB: Final = 1024 * 1024


class Starter:
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
        workers: Nursery,
        budget: MemoryBudget,
        *,
        start_seconds: float,
        evict: Callable[[], bool],
        on_budget_exhausted: Callable[[Pool], None],
        logs: LogWriter,
        hard_cpu: bool,
    ) -> None:
        self._nursery = workers
        self._settings = SettingsWriter(workers, hard_cpu=hard_cpu)
        self._watcher = Watcher(counts_memory=workers.level is not Level.CGROUP)
        self._logs = logs
        possible = workers.level is not Level.LANDLOCK
        self.preloads = Preloads(self, budget, possible=possible, on_freed=self.memory_freed, log=self._say)
        self._budget = budget
        self._start_seconds = start_seconds
        self._evict = evict
        self._starved = on_budget_exhausted
        self._queue: deque[Pool] = deque()
        self._turns = _TURNS
        self._holding: set[Instance] = set()
        self._patience: dict[Instance, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, pool: Pool) -> None:
        """Queue the start of an instance for this pool."""
        self._queue.append(pool)
        self.advance()

    def advance(self) -> None:
        """Start what can be started now. Called whenever a slot or memory became free."""
        for _ in range(len(self._queue)):
            if self._turns == 0 or not self._queue:
                return
            pool = self._queue.popleft()
            if not pool.needs_start:
                pool.start_dropped()
            elif pool.route.memory > self._budget.limit:
                pool.start_failed(f"its {pool.route.memory} MB are more than the memory budget allows")
            elif self._budget.reserve(pool.route.memory):
                self._turns -= 1
                self._launch(pool)
            else:
                self._queue.appendleft(pool)
                if not self._evict():
                    self._starved(pool)
                return  # in order: small instances that fit must not starve a large one

    def _launch(self, pool: Pool) -> None:
        self._run(self._start(pool))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, pool: Pool) -> None:
        route = pool.route
        try:
            instance, settings = await self._taken(route)
        except OSError as error:
            self._turns += 1
            self._budget.free(route.memory)
            pool.start_failed(f"{route.interpreter}: {error}")
            self.advance()
            return
        pool.members.add(instance)
        self._holding.add(instance)
        instance.begin(pool, route.function_id, settings)
        pool.begun(instance)
        on_disk = DISK_MAX_BYTES if route.sandbox == "v1" else None
        self._watcher.watch(instance, memory=route.memory * _MIB, disk=on_disk)
        self._loop.call_later(_TURN_SECONDS, self.turn_over, instance)
        self._patience[instance] = self._loop.call_later(self._start_seconds, self._give_up, instance)

    async def _taken(self, route: Route) -> tuple[Instance, bytes]:
        """Return a worker for this deployment, and its settings.

        Raises:
            OSError: No worker could be forked, or its settings could not be prepared.
        """
        instance = await self._instance_for(route)
        try:
            return instance, self._settings.of_instance(route, instance)
        except OSError:
            instance.kill("its settings could not be prepared")
            raise

    async def _instance_for(self, route: Route) -> Instance:
        zygote = self.preloads.ready(route)
        if zygote is not None:  # if it has just ended, the zygote of the interpreter takes over
            with contextlib.suppress(OSError):
                return await self._nursery.take_preloaded(zygote)
        return await self._nursery.take(route.interpreter)

    async def preload(self, route: Route, excluded: frozenset[str]) -> tuple[DeploymentZygote, Preloaded]:
        """Start a deployment zygote.

        Args:
            route: The deployment.
            excluded: Modules that it must not import.

        Raises:
            OSError: It ended before it reported a result.
        """

        def on_lines(stream: Stream, lines: Iterable[bytes]) -> None:
            self._logs.write(route.function_id, zygote.name, "", stream, lines)

        owner = self._settings.changes_user(route)
        zygote = self._nursery.new_deployment_zygote(route.interpreter, on_lines, owner)
        try:
            preloaded = await zygote.start(self._settings.of_zygote(route, zygote, excluded))
            if preloaded.ready:
                await self._nursery.add_spare(zygote)
        except BaseException:
            zygote.close()
            self._nursery.forget_unforked(zygote)
            raise
        return zygote, preloaded

    def became_ready(self, route: Route, instance: Instance) -> None:
        """Note that an instance has started: the next start can proceed, and a slow one may get a zygote."""
        self.settled(instance)
        if not isinstance(instance.zygote, DeploymentZygote):
            self.preloads.consider(route, instance.ready_at - instance.began)

    def _give_up(self, instance: Instance) -> None:
        if instance.state is InstanceState.STARTING:
            instance.kill(f"its handler was not imported within {self._start_seconds:g} s")

    def settled(self, instance: Instance) -> None:
        """Note that a start is over: the instance is ready or has ended."""
        if (timer := self._patience.pop(instance, None)) is not None:
            timer.cancel()
        self.turn_over(instance)

    def turn_over(self, instance: Instance) -> None:
        """Release the slot of a start that is over or takes too long."""
        if instance in self._holding:
            self._holding.discard(instance)
            self._turns += 1
            # Refilled only now, so that the fork does not compete with the start.
            if isinstance(instance.zygote, DeploymentZygote):
                self._run(self._nursery.add_spare(instance.zygote))
            else:
                self._nursery.refill(instance.zygote.interpreter)
            self.advance()

    def memory_freed(self, memory: int) -> None:
        """Return memory to the budget, and continue starts that wait for it."""
        self._budget.free(memory)
        self.advance()

    def _say(self, route: Route, message: str) -> None:
        self._logs.system(route.function_id, message)

    def close(self) -> None:
        """Stop starting and monitoring instances."""
        self.preloads.close()
        self._watcher.close()
