"""Fires crons on the platform's clock: every tick at most once, also over restarts and clocks that are set.

A tick that could not be begun within a minute of its moment, because the platform was down or the machine slept, is
not made up for; a clock that is moved by hand fires every tick on its way. A cron whose function was never deployed
has nothing to call and stays silent. Two ticks of one cron may overlap, as two requests may.
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
"""Real seconds by which a tick may be late: a restart of the platform, or of its control process."""

_LONGEST_SLEEP: Final = 60.0  # real: what the clock sleeps at a time (``platform.clock``)
_AT_ONCE: Final = 50  # ticks in one commit, so that the first are on their way while the others are written
_logger = logging.getLogger(__name__)


class CronScheduler:
    """The next tick of every cron, in a heap; entries of changed crons are skipped when they come up.

    real: Unix seconds as this machine's clock shows them.
    """

    def __init__(
        self, context: ControlContext, ticks: Ticks, hand_over: HandOver, real: Callable[[], float] = time.time
    ) -> None:
        self._context = context
        self._ticks = ticks
        self._hand_over = hand_over
        self._real = real
        self._looked = real()
        self._heap: list[tuple[float, int, str]] = []
        self._current: dict[str, int] = {}
        self._counter = 0
        self._held: dict[str, float] = {}  # ticks that came while their cron was being changed
        self._decided = 0.0  # everything up to here has fired, is held, or never will
        self._floor = 0.0  # what lies before it was missed
        self._changed = asyncio.Event()
        self._firing = asyncio.Lock()

    def load(self) -> None:
        """Plan every cron that fires. What was missed while nobody ran is said, and left."""
        now, speed = self._context.clock.now(), self._context.clock.speed
        if (decided := self._ticks.decided()) is None:
            self._ticks.decide(decided := now)
        known = min(now, decided)
        self._decided = self._floor = max(known, now - LATE_SECONDS * speed) if speed else known
        missed = 0
        for cron_id in self._ticks.ready():
            planned = self._ticks.planned(cron_id)
            if planned is None:
                continue
            if planned.last is not None:
                missed += _has_tick_between(planned.schedule, planned.after, self._decided)
                self._warn_of_future(cron_id, planned.last, now)
            self._plan(cron_id, planned.schedule, max(planned.after, self._decided))
        if missed:
            _logger.warning("%d crons missed ticks while the platform was not running.", missed)
        self._changed.set()

    def changed(self, cron_id: str) -> None:
        """Plan a cron anew after it changed or ended."""
        self._current.pop(cron_id, None)
        held = self._held.pop(cron_id, None)
        if planned := self._ticks.planned(cron_id):
            decided = self._decided if held is None else held - 1
            self._plan(cron_id, planned.schedule, max(planned.after, decided))
        self._changed.set()

    async def run(self) -> None:
        """Fire what becomes due, for ever."""
        while True:
            self._changed.clear()
            await self.fire_due()
            waits = (
                asyncio.ensure_future(self._context.clock.wait_until(self._next())),
                asyncio.ensure_future(self._changed.wait()),
            )
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    async def fire_due(self) -> None:
        """Begin every tick that is due."""
        async with self._firing:
            now, was_due = self._context.clock.now(), False
            self._look(now)
            while due := self._take(now):
                was_due = True
                await self._hand_over.room()
                in_time = [one for one in due if one[1] > self._floor]
                for firing in await persistently(functools.partial(self._ticks.begin, in_time)):
                    self._hand_over.deliver(firing)
                for cron_id, tick in due:
                    self._follow(cron_id, tick)
                await asyncio.sleep(0)  # what was begun goes out first
            self._decided = now
            self._looked = self._real()
            if was_due:
                await persistently(functools.partial(self._ticks.decide, now))

    def _look(self, now: float) -> None:
        """Notice a clock that was set, or that nobody looked for longer than anybody sleeps."""
        speed, absent = self._context.clock.speed, self._real() - self._looked
        self._floor = min(self._floor, now)
        if speed and absent > _LONGEST_SLEEP + LATE_SECONDS:
            self._floor = now - LATE_SECONDS * speed
            _logger.warning("%.0f s passed unseen; what crons would have fired in them is left out.", absent)
        elif speed and absent < -LATE_SECONDS:
            _logger.warning("The clock was set back by %.0f s; no cron fires twice because of that.", -absent)

    def _take(self, now: float) -> list[tuple[str, float]]:
        """Take up to so many ticks that are due, one of each cron; what is being changed is held."""
        due: list[tuple[str, float]] = []
        while self._heap and self._heap[0][0] <= now and len(due) < _AT_ONCE:
            tick, number, cron_id = heapq.heappop(self._heap)
            if self._current.get(cron_id) != number:
                continue
            del self._current[cron_id]
            if self._ticks.planned(cron_id) is None:
                self._held[cron_id] = tick
            else:
                due.append((cron_id, tick))
        return due

    def _follow(self, cron_id: str, tick: float) -> None:
        if cron_id not in self._current and (planned := self._ticks.planned(cron_id)):
            self._plan(cron_id, planned.schedule, max(tick, planned.after, self._floor))

    def _next(self) -> float | None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _plan(self, cron_id: str, schedule: str, after: float) -> None:
        tick = _schedule(schedule).next_after(after)
        if tick is None:
            self._current.pop(cron_id, None)
            return
        self._counter += 1
        self._current[cron_id] = self._counter
        heapq.heappush(self._heap, (tick, self._counter, cron_id))

    @staticmethod
    def _warn_of_future(cron_id: str, last: float, now: float) -> None:
        if last > now + LATE_SECONDS:
            _logger.warning(
                "Cron %s fired %.0f s after what the clock says now; it fires again when that has passed.",
                cron_id,
                last - now,
            )


@functools.lru_cache(maxsize=4096)
def _schedule(text: str) -> Schedule:
    return Schedule.parse(text)


def _has_tick_between(schedule: str, after: float, before: float) -> bool:
    tick = _schedule(schedule).next_after(after)
    return tick is not None and tick <= before
