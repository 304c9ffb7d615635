"""Starts and ends instances: one task follows each instance from the decision to start it to its end.

A start (``Scaler._run``) goes through these steps, in this order. The source does what differs between engines:

1. The source admits it, in a fair order over all functions. It may ask for the end of the instance that has been
   idle longest.
2. The source starts an instance, and waits until the handler is imported.
3. The pool uses the instance.
4. When the instance ends, what the source had reserved for it is free again, and the pool may need another one.

Between 3 and 4 the instance answers requests. It calls ``_on_idle`` after each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final

from fnkit.platform.data_plane.engine.pool import Pool
from fnkit.platform.data_plane.engine.scale_down import ScaleDown
from fnkit.platform.data_plane.instance import Instance
from fnkit.platform.data_plane.instance_source import InstanceSource
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import Route

_ADOPTED_ANSWER_SECONDS: Final = 2.0  # an adopted instance that takes longer has a request
_SWEEP_VIRTUAL_SECONDS: Final = 5.0
_SWEEP_MIN_SECONDS: Final = 0.05
_SWEEP_MAX_SECONDS: Final = 1.0


class Scaler:
    """Starts and ends the instances of all pools.

    Args:
        source: Starts instances.
        clock: The virtual clock, which decides when idle instances end.
        logs: Receives messages about instances.
        scale_down: When idle instances end.
        on_exit: Called with the deployment and the reason when an instance has ended unexpectedly.

    Attributes:
        pools: The pools that have an instance, retired ones included.
    """

    def __init__(
        self,
        source: InstanceSource,
        clock: SyncedClock,
        logs: LogWriter,
        scale_down: ScaleDown,
        on_exit: Callable[[Route, str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._clock = clock
        self._logs = logs
        self._scale_down = scale_down
        self._on_exit = on_exit
        self.pools: set[Pool] = set()
        self._shrinkable: set[Pool] = set()  # pools with an idle instance that may end
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
        source = self._source
        try:
            is_admitted = await source.admit(
                pool.route,
                is_needed=lambda: pool.is_start_needed,
                is_releasing_memory=self._is_releasing_memory,
                evict_idle=self._evict_idle,
            )
            if not is_admitted:
                pool.on_start_cancelled()
                return
            instance = await source.start(pool.route, partial(self._on_idle, pool))
        except OSError as error:
            self._start_missing_after(pool.on_start_failed(str(error)), pool)
            return
        self._add(pool, instance)
        await self._follow(pool, instance)

    def adopt(self, pool: Pool) -> None:
        """Use the instances of this deployment that an earlier process has started."""
        for instance in self._source.adopt(pool.route, partial(self._on_idle, pool)):
            pool.starting += 1
            self._add(pool, instance)
            self._spawn(self._follow(pool, instance))
            self._loop.call_later(_ADOPTED_ANSWER_SECONDS, self._on_unanswered, pool, instance)

    def _on_unanswered(self, pool: Pool, instance: Instance) -> None:
        pool.note_occupied(instance)
        self.start_missing(pool)

    def _add(self, pool: Pool, instance: Instance) -> None:
        pool.add(instance)
        self.pools.add(pool)

    async def _follow(self, pool: Pool, instance: Instance) -> None:
        """Follow an instance from its start to its end."""
        source = self._source
        if await source.wait_until_started(instance):
            if pool.on_ready(instance):
                self._note_idle(pool, instance)
            source.on_started(pool.route, instance)
        self._on_ended(pool, instance, await instance.ended)

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
        self._source.retry()  # a start may be waiting for the memory of an idle instance

    def _on_ended(self, pool: Pool, instance: Instance, reason: str) -> None:
        route, expected = pool.route, pool.is_end_expected(instance)  # the pool forgets it in ``on_ended``
        delay = pool.on_ended(instance, reason)
        if not pool.instances:
            self.pools.discard(pool)
        self._source.on_ended(route, instance)
        if not expected:
            self._logs.write_system(route.function_id, f"instance ended: {reason}", instance=instance.name)
            self._on_exit(route, reason)
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
        """Retire a pool, and what the source keeps for its deployment."""
        self._shrinkable.discard(pool)
        self._source.retire(pool.route)
        pool.retire(successor)
        self._source.retry()  # its starts are not needed any more

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

    def _is_releasing_memory(self) -> bool:
        return any(pool.is_releasing_memory for pool in self.pools)

    def _evict_idle(self) -> bool:
        """End the instance that has been idle longest, so that another function can start.

        Returns:
            Whether there was one.
        """
        idle = [(instance.idle_since, pool, instance) for pool in self._shrinkable
                if (instance := pool.oldest_idle()) is not None]  # fmt: skip
        if not idle:
            return False
        _, pool, instance = min(idle, key=lambda entry: entry[0])
        pool.evict(instance)
        return True

    def close(self) -> None:
        """Stop sweeping."""
        if self._sweeper is not None:
            self._sweeper.cancel()
