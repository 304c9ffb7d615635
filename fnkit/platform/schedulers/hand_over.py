"""Dispatches requests of cron runs and replays to their functions, each at most once.

A function gets at most as many requests at a time as it has instances. The others wait here in order, so that many
simultaneous runs do not fill the queue of the gateway and displace real requests. A request that the gateway itself
rejected (it is restarting, or its queue is full) reached no handler and is sent again for ``GATEWAY_RETRY_PERIOD``.
Every other outcome is final: a response of the function, and a broken connection, since the function may have run.
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
"""Real seconds for which a request that the gateway rejects is sent again."""

_GRACE_SECONDS: Final = 60.0  # real seconds for queueing and a cold start, added to the function's timeout
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_CROWD: Final = 5000  # requests; more cron runs start only when there are fewer
_CONTENT_TYPES: Final = {"cron": "application/json"}
_ANY_CONTENT: Final = "text/plain; charset=utf-8"
_logger = logging.getLogger(__name__)


class HandOver:
    """Sends requests to functions in background tasks. Lives on one event loop."""

    def __init__(self, context: ControlContext, log: DeliveryLog, gateway: Door | None = None) -> None:
        self._context = context
        self._door = gateway or Door(context.settings.delivery_socket)
        self._log = log
        self._turns = Turns()
        self._number = 0
        self._fewer = asyncio.Event()

    def deliver(self, request: Firing) -> None:
        """Start sending a request. Its outcome is written to the delivery log."""
        self._number += 1
        task = self._context.tasks.start(self._deliver(request), f"delivery to {request.host}")
        task.add_done_callback(self._ended)

    async def room(self) -> None:
        """Return when the number of pending requests is below the limit."""
        while self._number >= _CROWD:
            self._fewer.clear()
            await self._fewer.wait()

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._number -= 1
        self._fewer.set()

    async def _deliver(self, request: Firing) -> None:
        await self._turns.take(request.function_id, request.at_once)
        lag_ms = self._lag(request)
        try:
            outcome = await self._handed_over(request)
        finally:
            self._turns.give(request.function_id)
        delivery = request.delivery.tried(
            http_status=outcome.http_status, duration_ms=outcome.duration_ms, error=outcome.error
        ).ended(DeliveryStatus.SUCCEEDED if outcome.succeeded else DeliveryStatus.FAILED)
        self._log.put(request.source_id, msgspec.structs.replace(delivery, lag_ms=lag_ms), request.body)

    def _lag(self, request: Firing) -> float | None:
        """Return the delay of a cron's run in real milliseconds.

        ``None`` for other requests, and on a manual clock, whose time does not pass between two moves.
        """
        if request.tick is None or not self._context.clock.speed:
            return None
        return round((self._context.clock.now() - request.tick) / self._context.clock.speed * 1000, 3)

    async def _handed_over(self, request: Firing) -> Outcome:
        kind = request.delivery.kind
        content_type, timeout = _CONTENT_TYPES.get(kind, _ANY_CONTENT), request.timeout + _GRACE_SECONDS
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE
        while True:
            try:
                outcome = await self._door.post(request.host, request.body, content_type, timeout)
            except Unreachable as error:
                outcome = Outcome(None, 0.0, f"the gateway cannot be reached: {error}", turned_away=True)
            if not outcome.turned_away or time.monotonic() >= deadline:
                return outcome
            if pause == _FIRST_PAUSE:
                _logger.warning("The gateway rejected a delivery to %s; retrying: %s", request.host, outcome.error)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
