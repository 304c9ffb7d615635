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

from fnkit.contract.cron import CronSchedule
from fnkit.platform.control.context import ControlContext, retry_until_written, wait_for_first
from fnkit.platform.control.events.dispatcher import Dispatcher
from fnkit.platform.control.events.firing import CronState
from fnkit.platform.control.resources.functions import Functions

MISFIRE_GRACE: Final = 60.0
"""Real seconds by which a scheduled run may start late, enough for a restart of the platform or of control."""

_NANOSECONDS_PER_SECOND: Final = 10**9
_MAX_SLEEP: Final = 60.0  # real seconds; the longest that ``VirtualClock.wait_until`` sleeps at a time
_MAX_BATCH: Final = 50  # runs per commit; the first batch is dispatched before the next one is written
_logger = logging.getLogger(__name__)


class CronScheduler:
    """Starts scheduled runs.

    The next run of each cron is in a heap. A changed cron gets a new entry; its old one is skipped when it becomes
    due.
    """

    def __init__(
        self,
        context: ControlContext,
        cron_state: CronState,
        dispatcher: Dispatcher,
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
        self._cron_state = cron_state
        self._dispatcher = dispatcher
        self._wall_clock = wall_clock
        self._checked_at = wall_clock()
        self._heap: list[tuple[float, int, str]] = []
        self._current_entries: dict[str, int] = {}
        self._last_entry_number = 0
        self._deferred_runs: dict[str, float] = {}  # by cron id: runs due while their cron was not ready
        self._high_water_mark = 0.0  # all runs up to this platform time were started, deferred or skipped
        self._skipped_until = 0.0  # runs scheduled up to this platform time are skipped
        self._changed = asyncio.Event()
        self._fire_lock = asyncio.Lock()

    def load(self) -> None:
        """Schedule all crons. Runs missed while the platform was not running are skipped and counted in the log."""
        now, speed = self._context.clock.now(), self._context.clock.speed
        if (high_water_mark := self._cron_state.high_water_mark()) is None:
            self._cron_state.set_high_water_mark(high_water_mark := now)
        last_known = min(now, high_water_mark)
        self._high_water_mark = self._skipped_until = (
            max(last_known, now - MISFIRE_GRACE * speed) if speed else last_known
        )
        missed = 0
        for cron_id in self._cron_state.ready_cron_ids():
            schedule = self._cron_state.get_schedule(cron_id)
            if schedule is None:
                continue
            if schedule.last_run is not None:
                missed += _has_run_between(schedule.schedule, schedule.after, self._high_water_mark)
                if schedule.last_run > now + MISFIRE_GRACE:
                    _logger.warning(
                        "The last run of cron %s is %.0f s in the future; the cron runs again after that time.",
                        *(cron_id, schedule.last_run - now),
                    )
            self._schedule_after(cron_id, schedule.schedule, max(schedule.after, self._high_water_mark))
        if missed:
            _logger.warning(
                "%d crons missed scheduled runs while the platform was not running; these are skipped.", missed
            )
        self._changed.set()

    def on_cron_changed(self, cron_id: str) -> None:
        """Schedule a cron again after it was changed or deleted."""
        self._current_entries.pop(cron_id, None)
        deferred = self._deferred_runs.pop(cron_id, None)
        if schedule := self._cron_state.get_schedule(cron_id):
            # The run is the first one after the given time; one second less includes the deferred run itself.
            after = self._high_water_mark if deferred is None else deferred - 1
            self._schedule_after(cron_id, schedule.schedule, max(schedule.after, after))
        self._changed.set()

    async def run(self) -> None:
        """Start runs when they are due, forever."""
        while True:
            self._changed.clear()
            await self.fire_due()
            await wait_for_first(self._context.clock.wait_until(self._next_due()), self._changed.wait())

    async def fire_due(self) -> None:
        """Start all runs that are due."""
        async with self._fire_lock:
            now, was_due = self._context.clock.now(), False
            self._check_clock(now)
            while due := self._pop_due(now):
                was_due = True
                await self._dispatcher.wait_for_capacity()
                in_time = [one for one in due if one[1] > self._skipped_until]
                for request in await retry_until_written(functools.partial(self._cron_state.begin_runs, in_time)):
                    self._dispatcher.dispatch(request)
                for cron_id, scheduled_at in due:
                    if cron_id not in self._current_entries and (one := self._cron_state.get_schedule(cron_id)):
                        after = max(scheduled_at, one.after, self._skipped_until)
                        self._schedule_after(cron_id, one.schedule, after)
                await asyncio.sleep(0)  # send the requests before the next commit blocks the loop
            self._high_water_mark = now
            self._checked_at = self._wall_clock()
            if was_due:
                await retry_until_written(functools.partial(self._cron_state.set_high_water_mark, now))

    def _check_clock(self, now: float) -> None:
        """Detect that the machine's clock was set, or that the process was suspended for longer than it sleeps."""
        speed, elapsed = self._context.clock.speed, self._wall_clock() - self._checked_at
        self._skipped_until = min(self._skipped_until, now)
        if speed and elapsed > _MAX_SLEEP + MISFIRE_GRACE:
            self._skipped_until = now - MISFIRE_GRACE * speed
            _logger.warning("Clock jumped forward %.0f s; skipped cron runs in that interval.", elapsed)
        elif speed and elapsed < -MISFIRE_GRACE:
            _logger.warning("Clock was set back %.0f s; cron runs in that interval are not repeated.", -elapsed)

    def _pop_due(self, now: float) -> list[tuple[str, float]]:
        """Remove due runs from the heap and return their crons and times.

        There is at most one run of each cron, and at most one batch in all. A run of a cron that is not ready is
        deferred until the cron is.
        """
        due: list[tuple[str, float]] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _MAX_BATCH:
            scheduled_at, number, cron_id = heapq.heappop(self._heap)
            if self._current_entries.get(cron_id) != number:
                continue
            del self._current_entries[cron_id]
            if self._cron_state.get_schedule(cron_id) is None:
                self._deferred_runs[cron_id] = scheduled_at
            else:
                due.append((cron_id, scheduled_at))
        return due

    def _next_due(self) -> float | None:
        while self._heap and self._current_entries.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _schedule_after(self, cron_id: str, schedule: str, after: float) -> None:
        scheduled_at = _parse_schedule(schedule).next_after(after)
        if scheduled_at is None:
            self._current_entries.pop(cron_id, None)
            return
        self._last_entry_number += 1
        self._current_entries[cron_id] = self._last_entry_number
        heapq.heappush(self._heap, (scheduled_at, self._last_entry_number, cron_id))


@functools.lru_cache(maxsize=4096)
def _parse_schedule(text: str) -> CronSchedule:
    return CronSchedule.parse(text)


def _has_run_between(schedule: str, after: float, before: float) -> bool:
    scheduled_at = _parse_schedule(schedule).next_after(after)
    return scheduled_at is not None and scheduled_at <= before


async def run_expiry(context: ControlContext, functions: Functions) -> None:
    """Stop old deployments 24 h after the one that was to replace them failed, as Scaleway documents. Runs forever.

    The next expiry is read from the store after each one. A failure that happens in the meantime expires a day
    later, while the clock sleeps at most a minute at a time, so no notification is needed.
    """
    while True:
        await functions.expire_deployments()
        first = context.store.next_expiry()
        await context.clock.wait_until(None if first is None else first / _NANOSECONDS_PER_SECOND)
