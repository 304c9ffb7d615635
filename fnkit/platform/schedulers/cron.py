"""Fires crons on the platform's clock: every tick at most once, also over restarts.

Ticks that fell while the platform was down, or while a suspended machine slept, are not made up for, as with
cron; a clock that is moved by hand fires every tick on its way. A cron whose function was never deployed has
nothing to call and stays silent. Two ticks of one cron may overlap, as two requests may.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from typing import Final

from fnkit.contract.cron import Schedule
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.ticks import Firing, Ticks
from fnkit.platform.schedulers.delivery import Outcome, Unreachable, post

__all__ = ["CronScheduler"]

_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 1.0  # real: a data plane that is being restarted
_LATE_SECONDS: Final = 90.0  # real: longer than any planned sleep of the clock (60 s)
_GRACE_SECONDS: Final = 60.0  # real: queueing and a cold start, beyond the function's own timeout
_logger = logging.getLogger(__name__)


class CronScheduler:
    """The next tick of every cron, in a heap; entries of changed crons are skipped when they come up."""

    def __init__(self, context: ControlContext, ticks: Ticks) -> None:
        self._context = context
        self._ticks = ticks
        self._heap: list[tuple[float, int, str]] = []
        self._current: dict[str, int] = {}
        self._counter = 0
        self._changed = asyncio.Event()
        self._awake = time.monotonic()

    def load(self) -> None:
        """Plan every cron that fires."""
        for cron_id in self._ticks.ready():
            self.changed(cron_id)

    def changed(self, cron_id: str) -> None:
        """Plan a cron anew after it changed or ended."""
        self._current.pop(cron_id, None)
        if planned := self._ticks.planned(cron_id):
            self._plan(cron_id, planned.schedule, planned.after)
        self._changed.set()

    async def run(self) -> None:
        """Fire what becomes due, for ever."""
        while True:
            self._changed.clear()
            self.fire_due()
            waits = (
                asyncio.ensure_future(self._context.clock.wait_until(self._next())),
                asyncio.ensure_future(self._changed.wait()),
            )
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def fire_due(self) -> None:
        """Begin every tick that is due."""
        now, real = self._context.clock.now(), time.monotonic()
        slept = real - self._awake > _LATE_SECONDS
        self._awake = real
        while self._heap and self._heap[0][0] <= now:
            tick, number, cron_id = heapq.heappop(self._heap)
            planned = self._ticks.planned(cron_id) if self._current.get(cron_id) == number else None
            if planned is None:
                continue
            self._plan(cron_id, planned.schedule, now if slept else tick)
            if firing := self._ticks.begin(cron_id, tick):
                self._context.tasks.start(self._deliver(firing), f"tick of cron {cron_id}")

    def _next(self) -> float | None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _plan(self, cron_id: str, schedule: str, after: float) -> None:
        tick = Schedule.parse(schedule).next_after(after)
        if tick is None:
            self._current.pop(cron_id, None)
            return
        self._counter += 1
        self._current[cron_id] = self._counter
        heapq.heappush(self._heap, (tick, self._counter, cron_id))

    async def _deliver(self, firing: Firing) -> None:
        outcome = Outcome(None, 0.0)
        attempts = 0
        while attempts < _ATTEMPTS:
            attempts += 1
            try:
                outcome = await self._post(firing)
                break
            except Unreachable as error:
                _logger.warning("The gateway did not take a tick for %s: %s", firing.host, error)
                await asyncio.sleep(_RETRY_SECONDS)
        self._ticks.finish(
            firing, attempts=attempts, http_status=outcome.http_status, duration_ms=outcome.duration_ms
        )

    async def _post(self, firing: Firing) -> Outcome:
        door = self._context.settings.gateway_socket
        return await post(door, firing.host, firing.body, "application/json", firing.timeout + _GRACE_SECONDS)
