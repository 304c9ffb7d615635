"""Runs crons on the platform clock, and removes expired deployments.

Each scheduled run starts at most once, also across restarts and changes of the clock. A run that could not start
within a minute of its scheduled time, because the platform was down or the machine was asleep, is skipped. Moving a
manual clock forward starts every run in between. A cron whose function was never deployed does nothing. Runs of one
cron may overlap, as requests may.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import logging
import time
from collections.abc import Callable
from typing import Final

from fnkit.contract.cron import Schedule
from fnkit.platform.control.context import ControlContext, persistently
from fnkit.platform.control.ticks import Ticks
from fnkit.platform.schedulers.hand_over import HandOver

__all__ = ["LATE_SECONDS", "CronScheduler"]

LATE_SECONDS: Final = 60.0
"""Real seconds by which a scheduled run may start late, enough for a restart of the platform or of control."""

_LONGEST_SLEEP: Final = 60.0  # real seconds; the longest that ``PlatformClock.wait_until`` sleeps at a time
_AT_ONCE: Final = 50  # runs per commit; the first batch is dispatched before the next one is written
_logger = logging.getLogger(__name__)


class CronScheduler:
    """Starts scheduled runs.

    The next run of each cron is in a heap. A changed cron gets a new entry; its old one is skipped when it becomes
    due.
    """

    def __init__(
        self,
        context: ControlContext,
        cron_state: Ticks,
        dispatcher: HandOver,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a scheduler. Call ``load`` before ``run``.

        Args:
            context: What all parts of control share.
            cron_state: Schedules and last runs of the crons.
            dispatcher: Sends the requests to the functions.
            wall_clock: Returns the machine's time in Unix seconds. A monotonic clock would stop during suspend.
        """
        self._context = context
        self._ticks = cron_state
        self._hand_over = dispatcher
        self._real = wall_clock
        self._looked = wall_clock()
        self._heap: list[tuple[float, int, str]] = []
        self._current: dict[str, int] = {}
        self._counter = 0
        self._held: dict[str, float] = {}  # runs that became due while their cron was not ready, by cron id
        self._decided = 0.0  # all runs up to this platform time were started, deferred or skipped
        self._floor = 0.0  # runs scheduled up to this platform time are skipped
        self._changed = asyncio.Event()
        self._firing = asyncio.Lock()

    def load(self) -> None:
        """Schedule all crons. Runs missed while the platform was not running are skipped and counted in the log."""
        now, speed = self._context.clock.now(), self._context.clock.speed
        if (high_water_mark := self._ticks.decided()) is None:
            self._ticks.decide(high_water_mark := now)
        last_known = min(now, high_water_mark)
        self._decided = self._floor = max(last_known, now - LATE_SECONDS * speed) if speed else last_known
        missed = 0
        for cron_id in self._ticks.ready():
            schedule = self._ticks.planned(cron_id)
            if schedule is None:
                continue
            if schedule.last is not None:
                missed += _has_tick_between(schedule.schedule, schedule.after, self._decided)
                self._warn_of_future(cron_id, schedule.last, now)
            self._plan(cron_id, schedule.schedule, max(schedule.after, self._decided))
        if missed:
            _logger.warning(
                "%d crons missed scheduled runs while the platform was not running; these are skipped.", missed
            )
        self._changed.set()

    def changed(self, cron_id: str) -> None:
        """Schedule a cron again after it was changed or deleted."""
        self._current.pop(cron_id, None)
        deferred = self._held.pop(cron_id, None)
        if schedule := self._ticks.planned(cron_id):
            # The run is the first one after the given time; one second less includes the deferred run itself.
            after = self._decided if deferred is None else deferred - 1
            self._plan(cron_id, schedule.schedule, max(schedule.after, after))
        self._changed.set()

    async def run(self) -> None:
        """Start runs when they are due, forever."""
        while True:
            self._changed.clear()
            await self.fire_due()
            waiters = (
                asyncio.ensure_future(self._context.clock.wait_until(self._next())),
                asyncio.ensure_future(self._changed.wait()),
            )
            try:
                await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiter in waiters:
                    waiter.cancel()

    async def fire_due(self) -> None:
        """Start all runs that are due."""
        async with self._firing:
            now, was_due = self._context.clock.now(), False
            self._look(now)
            while due := self._take(now):
                was_due = True
                await self._hand_over.room()
                in_time = [one for one in due if one[1] > self._floor]
                for request in await persistently(functools.partial(self._ticks.begin, in_time)):
                    self._hand_over.deliver(request)
                for cron_id, scheduled_at in due:
                    self._follow(cron_id, scheduled_at)
                await asyncio.sleep(0)  # send the requests before the next commit blocks the loop
            self._decided = now
            self._looked = self._real()
            if was_due:
                await persistently(functools.partial(self._ticks.decide, now))

    def _look(self, now: float) -> None:
        """Detect that the machine's clock was set, or that the process was suspended for longer than it sleeps."""
        speed, elapsed = self._context.clock.speed, self._real() - self._looked
        self._floor = min(self._floor, now)
        if speed and elapsed > _LONGEST_SLEEP + LATE_SECONDS:
            self._floor = now - LATE_SECONDS * speed
            _logger.warning("Clock jumped forward %.0f s; skipped cron runs in that interval.", elapsed)
        elif speed and elapsed < -LATE_SECONDS:
            _logger.warning("Clock was set back %.0f s; cron runs in that interval are not repeated.", -elapsed)

    def _take(self, now: float) -> list[tuple[str, float]]:
        """Remove due runs from the heap and return their crons and times.

        There is at most one run of each cron, and at most one batch in all. A run of a cron that is not ready is
        deferred until the cron is.
        """
        due: list[tuple[str, float]] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _AT_ONCE:
            scheduled_at, number, cron_id = heapq.heappop(self._heap)
            if self._current.get(cron_id) != number:
                continue
            del self._current[cron_id]
            if self._ticks.planned(cron_id) is None:
                self._held[cron_id] = scheduled_at
            else:
                due.append((cron_id, scheduled_at))
        return due

    def _follow(self, cron_id: str, scheduled_at: float) -> None:
        if cron_id not in self._current and (schedule := self._ticks.planned(cron_id)):
            self._plan(cron_id, schedule.schedule, max(scheduled_at, schedule.after, self._floor))

    def _next(self) -> float | None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _plan(self, cron_id: str, schedule: str, after: float) -> None:
        scheduled_at = _schedule(schedule).next_after(after)
        if scheduled_at is None:
            self._current.pop(cron_id, None)
            return
        self._counter += 1
        self._current[cron_id] = self._counter
        heapq.heappush(self._heap, (scheduled_at, self._counter, cron_id))

    @staticmethod
    def _warn_of_future(cron_id: str, last: float, now: float) -> None:
        if last > now + LATE_SECONDS:
            _logger.warning(
                "The last run of cron %s is %.0f s in the future; the cron runs again after that time.",
                cron_id,
                last - now,
            )


@functools.lru_cache(maxsize=4096)
def _schedule(text: str) -> Schedule:
    return Schedule.parse(text)


def _has_tick_between(schedule: str, after: float, before: float) -> bool:
    scheduled_at = _schedule(schedule).next_after(after)
    return scheduled_at is not None and scheduled_at <= before
