"""Hands firings of crons, and repetitions, to their functions: each at most once, and none because of a short jam.

A function gets as many at a time as it has instances; the others wait here, in order, so that no crowd of ticks
fills the gateway's queue before real requests. What the gateway itself turns away (it is being restarted, or its
queue is full) reached no handler, so it is tried again for ``PATIENCE_SECONDS``. Everything else is final: whatever
the function answers, and a connection that broke, since the function may have run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.control.firing import Firing
from fnkit.platform.records.delivery import DeliveryStatus
from fnkit.platform.schedulers.delivery import Door, Outcome, Unreachable
from fnkit.platform.schedulers.turns import Turns

__all__ = ["PATIENCE_SECONDS", "HandOver"]

PATIENCE_SECONDS: Final = 60.0
"""Real seconds for which a gateway that takes nothing is asked again."""

_GRACE_SECONDS: Final = 60.0  # real: queueing and a cold start, beyond the function's own timeout
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_CROWD: Final = 5000  # begun and not ended; beyond it the next ones are not begun
_CONTENT_TYPES: Final = {"cron": "application/json"}
_ANY_CONTENT: Final = "text/plain; charset=utf-8"
_logger = logging.getLogger(__name__)


class HandOver:
    """Everything that is under way to functions."""

    def __init__(self, context: ControlContext, log: DeliveryLog, door: Door | None = None) -> None:
        self._context = context
        self._door = door or Door(context.settings.delivery_socket)
        self._log = log
        self._turns = Turns()
        self._number = 0
        self._fewer = asyncio.Event()

    def deliver(self, firing: Firing) -> None:
        """Begin a delivery."""
        self._number += 1
        task = self._context.tasks.start(self._deliver(firing), f"delivery to {firing.host}")
        task.add_done_callback(self._ended)

    async def room(self) -> None:
        """Return when not too many are under way."""
        while self._number >= _CROWD:
            self._fewer.clear()
            await self._fewer.wait()

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._number -= 1
        self._fewer.set()

    async def _deliver(self, firing: Firing) -> None:
        await self._turns.take(firing.function_id, firing.at_once)
        lag = self._lag(firing)
        try:
            outcome = await self._handed_over(firing)
        finally:
            self._turns.give(firing.function_id)
        done = firing.delivery.tried(
            http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
        ).ended(DeliveryStatus.SUCCEEDED if outcome.succeeded else DeliveryStatus.FAILED)
        self._log.put(firing.source_id, msgspec.structs.replace(done, lag_ms=lag), firing.body)

    def _lag(self, firing: Firing) -> float | None:
        """Real milliseconds since the tick's moment; a clock that stands until it is moved says nothing of that."""
        if firing.tick is None or not self._context.clock.speed:
            return None
        return round((self._context.clock.now() - firing.tick) / self._context.clock.speed * 1000, 3)

    async def _handed_over(self, firing: Firing) -> Outcome:
        kind = firing.delivery.kind
        content, seconds = _CONTENT_TYPES.get(kind, _ANY_CONTENT), firing.timeout + _GRACE_SECONDS
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE
        while True:
            try:
                outcome = await self._door.post(firing.host, firing.body, content, seconds)
            except Unreachable as error:
                outcome = Outcome(None, 0.0, f"the gateway cannot be reached: {error}", turned_away=True)
            if not outcome.turned_away or time.monotonic() >= deadline:
                return outcome
            if pause == _FIRST_PAUSE:
                _logger.warning("The gateway does not take a delivery to %s: %s", firing.host, outcome.error)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
