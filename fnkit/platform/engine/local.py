"""The engine of this machine: instances are processes, confined and forked from zygotes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fnkit.platform.engine.budget import MemoryBudget, default_budget
from fnkit.platform.engine.calls import LocalCall
from fnkit.platform.engine.cgroups import ControlGroups
from fnkit.platform.engine.clock import VirtualClock
from fnkit.platform.engine.contract import Call, Failure, FailureKind, Listener, Observation, Outcome
from fnkit.platform.engine.instance import Instance
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.engine.measuring import Measuring
from fnkit.platform.engine.meters import Meters, ending_kind
from fnkit.platform.engine.nursery import Nursery
from fnkit.platform.engine.pool import Pool
from fnkit.platform.engine.scaling import ScaleDown
from fnkit.platform.engine.starting import Starter
from fnkit.platform.measurements import EngineMeasurements
from fnkit.platform.routing import Route

__all__ = ["EngineSettings", "LocalEngine"]

_SWEEP_VIRTUAL_SECONDS: Final = 5.0
_SWEEP_REAL_MIN: Final = 0.05
_SWEEP_REAL_MAX: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the local engine behaves.

    queue_per_instance: requests that may wait per instance of ``max_scale`` before 503. blanks: prepared
    instances in hand per interpreter. start_seconds: what an import may take (the core runtime waits 5 minutes).
    memory_budget: MB for all instances, 0 for half of the machine's. hard_cpu: a function's mVCPU are what it gets
    at most, not its weight alone. disks_folder: where disks that are not in memory lie; ``None``: beside the rest.
    """

    level: Level
    runtime_folder: Path
    logs_folder: Path
    scale_down: ScaleDown = field(default_factory=ScaleDown)
    queue_per_instance: int = 100
    blanks: int = 4
    start_seconds: float = 300.0
    memory_budget: int = 0
    hard_cpu: bool = False
    disks_folder: Path | None = None


class LocalEngine:
    """See ``Engine``. exited hears of instances that ended by themselves: the route, and why."""

    def __init__(self, settings: EngineSettings, clock: VirtualClock, exited: Callable[[Route, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._clock = clock
        self._exited = exited
        self.meters = Meters()
        self.logs = LogWriter(settings.logs_folder, clock.now_ns, self._loop.time, self._loop.call_later)
        groups = ControlGroups() if settings.level is Level.CGROUP else None
        self._nursery = Nursery(
            settings.level,
            groups,
            settings.runtime_folder,
            settings.disks_folder or settings.runtime_folder / "disks",
            self.logs,
            blanks=settings.blanks,
        )
        self._budget = MemoryBudget(settings.memory_budget or default_budget())
        self._starter = Starter(
            self._nursery,
            self._budget,
            start_seconds=settings.start_seconds,
            evict=self._evict_one,
            starved=self._say_starved,
            logs=self.logs,
            hard_cpu=settings.hard_cpu,
        )
        self._nursery.tell_of_losses(self._starter.preloads.lost)
        self._pools: dict[str, Pool] = {}
        self._measuring = Measuring(self.meters, self._pools, self.logs)
        self._pending: dict[str, Pool] = {}
        self._retired: set[Pool] = set()
        self._shrinking: set[Pool] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    # The five verbs

    def deploy(self, route: Route, settled: Callable[[Outcome], None]) -> None:
        """See ``Engine.deploy``."""
        overtaken = self._pending.pop(route.function_id, None)
        if overtaken is not None:
            self._retire(overtaken, None)
        current = self._pools.get(route.function_id)
        if current is not None and _runs_the_same(current.route, route):
            current.route = route
            current.grow()
            settled(Outcome(route))
            return

        def first(reason: str | None) -> None:
            if self._pending.get(route.function_id) is not pool:
                return  # overtaken
            del self._pending[route.function_id]
            if reason is None:
                self._switch(pool)
            else:
                self._retire(pool, None)
            settled(Outcome(route, reason))

        pool = self._pool(route, first)
        self._pending[route.function_id] = pool
        pool.start_one()

    def restore(self, route: Route) -> None:
        """Serve a deployment that ran before: no instance is needed to know that it does."""
        self._switch(self._pool(route, lambda _: None))

    def warm(self, interpreters: Iterable[str]) -> None:
        """Make ready what every instance of these interpreters shares."""
        self._nursery.warm(interpreters)

    def remove(self, function_id: str) -> None:
        """See ``Engine.remove``."""
        for pools in (self._pools, self._pending):
            pool = pools.pop(function_id, None)
            if pool is not None:
                self._retire(pool, None)
        self.logs.forget(function_id)
        self.meters.forget(function_id)

    def acquire(self, function_id: str, request_id: str, listener: Listener) -> Call | None:
        """See ``Engine.acquire``."""
        pool = self._pools.get(function_id)
        if pool is None:
            listener.failed(Failure(FailureKind.UNKNOWN, "there is no such function"))
            return None
        return pool.acquire(request_id, listener)

    def release(self, call: Call) -> None:
        """See ``Engine.release``."""
        if isinstance(call, LocalCall):
            call.listener = None
            call.resume()  # a slow client may have paused the answer that nobody reads now
            if call.server is None:
                for pool in (*self._pools.values(), *self._pending.values()):
                    if call in pool.waiting:
                        pool.forget(call)
                        return

    def measure(self) -> EngineMeasurements:
        """See ``Engine.measure``."""
        functions = self._measuring.functions(self._loop.time())
        return EngineMeasurements(
            functions=functions, memory_used=self._budget.used, memory_limit=self._budget.limit
        )

    def observe(self) -> Iterable[Observation]:
        """See ``Engine.observe``."""
        for function_id, pool in self._pools.items():
            busy = pool.busy
            yield Observation(
                function_id=function_id,
                generation=pool.route.generation,
                idle=len(pool.idle),
                busy=busy,
                starting=pool.starting,
                waiting=len(pool.waiting),
            )

    # Health and time

    def route(self, function_id: str) -> Route | None:
        """Return the deployment in force."""
        pool = self._pools.get(function_id)
        return pool.route if pool is not None else None

    def pending_route(self, function_id: str) -> Route | None:
        """Return the deployment that is being started."""
        pool = self._pending.get(function_id)
        return pool.route if pool is not None else None

    @property
    def minimum_is_up(self) -> bool:
        """Every deployment has its ``min_scale`` instances, or has tried and failed."""
        return all(pool.has_minimum for pool in self._pools.values())

    def sweep(self) -> None:
        """End instances that were idle for too long; called when time passed."""
        now = self._clock.now()
        for pool in list(self._shrinking):
            pool.sweep(self._settings.scale_down, now)
            if pool.spare_idle() is None:
                self._shrinking.discard(pool)
        self.logs.settle()
        self._schedule_sweep()

    def _schedule_sweep(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._shrinking and self._clock.speed > 0:
            seconds = min(_SWEEP_REAL_MAX, max(_SWEEP_REAL_MIN, _SWEEP_VIRTUAL_SECONDS / self._clock.speed))
            self._sweeper = self._loop.call_later(seconds, self.sweep)

    async def drain(self, seconds: float) -> None:
        """Wait until no request is held any more, at most this long; who then still waits is told so."""
        deadline = self._loop.time() + seconds
        while self._loop.time() < deadline:
            pools = (*self._pools.values(), *self._retired)
            if not any(pool.waiting or pool.busy for pool in pools):
                return
            await asyncio.sleep(0.02)
        for pool in (*self._pools.values(), *self._retired):
            pool.give_up("the platform is stopping")

    def close(self) -> None:
        """End every instance now."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for function_id in list(self._pools) + list(self._pending):
            self.remove(function_id)
        self._starter.close()
        self._nursery.close()
        self.logs.close()

    # What pools ask for

    def now(self) -> float:
        """See ``PoolHost``."""
        return self._clock.now()

    def request_start(self, pool: Pool) -> None:
        """See ``PoolHost``."""
        self._starter.request(pool)

    def became_ready(self, pool: Pool, instance: Instance) -> None:
        """See ``PoolHost``."""
        self._starter.became_ready(pool.route, instance)

    def became_idle(self, pool: Pool) -> None:
        """See ``PoolHost``."""
        if pool not in self._shrinking and pool.spare_idle() is not None:
            self._shrinking.add(pool)
            if self._sweeper is None:
                self._schedule_sweep()
        self._starter.advance()  # somebody may wait for the memory of an idle instance

    def ended(self, pool: Pool, instance: Instance, reason: str, *, prompted: bool) -> None:
        """See ``PoolHost``."""
        pool.meter.ended[ending_kind(reason, prompted=prompted)] += 1
        self._starter.settled(instance)
        self._starter.memory_freed(pool.route.memory)
        if pool.retired and not pool.members:
            self._retired.discard(pool)
        if not prompted:
            self.logs.system(pool.route.function_id, f"instance ended: {reason}", instance=instance.name)
            self._exited(pool.route, reason)
        if pool.retired and not pool.members and not self._is_served(pool.route.function_id):
            self.logs.forget(pool.route.function_id)  # its last words opened the log once more

    def _is_served(self, function_id: str) -> bool:
        return function_id in self._pools or function_id in self._pending

    # Inside

    def _pool(self, route: Route, first: Callable[[str | None], None]) -> Pool:
        queue = self._settings.queue_per_instance * max(1, route.max_scale)
        return Pool(route, self, self.meters.of(route), queue, first)

    def _switch(self, pool: Pool) -> None:
        old = self._pools.get(pool.route.function_id)
        self._pools[pool.route.function_id] = pool
        if old is not None:
            self._retire(old, pool)
        pool.grow()

    def _retire(self, pool: Pool, successor: Pool | None) -> None:
        self._shrinking.discard(pool)
        self._starter.preloads.forget(pool.route)
        if pool.members:
            self._retired.add(pool)
        pool.retire(successor)

    def _evict_one(self) -> bool:
        """End the instance that has been idle for longest, so that another function can start.

        One at a time: what it gives back is enough for most, and the next start asks again. Nobody else goes while
        one is ending; what is only preloaded goes first.
        """
        if any(pool.gives_memory_back for pool in (*self._pools.values(), *self._retired)):
            return True
        if self._starter.preloads.evict():
            return True
        idle = [(instance.idle_since, pool, instance) for pool in self._shrinking
                if (instance := pool.spare_idle()) is not None]  # fmt: skip
        if not idle:
            return False
        _, pool, instance = min(idle, key=lambda entry: entry[0])
        pool.evict(instance)
        return True

    def _say_starved(self, pool: Pool) -> None:
        if not pool.said_starved:
            pool.said_starved = True
            message = f"waiting: the memory budget of {self._budget.limit} MB (--memory-budget) is in use"
            self.logs.system(pool.route.function_id, message)
            _log.warning("%s %s", pool.route.name, message)


def _runs_the_same(current: Route, wanted: Route) -> bool:
    """Say whether instances of the one can serve the other: only who may call and how many differ."""
    return (
        current.generation == wanted.generation
        and current.code == wanted.code
        and current.environment == wanted.environment
        and (current.runtime, current.interpreter, current.handler, current.sandbox)
        == (wanted.runtime, wanted.interpreter, wanted.handler, wanted.sandbox)
        and (current.memory, current.cpu, current.uid) == (wanted.memory, wanted.cpu, wanted.uid)
        and (current.name, current.privacy) == (wanted.name, wanted.privacy)
    )
