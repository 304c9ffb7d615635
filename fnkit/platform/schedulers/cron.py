"""Fires crons on the platform's clock: every tick at most once, also over restarts.

A tick and its delivery are committed together before anything is sent. Ticks that fell while the platform was
down, or while a suspended machine slept, are not made up for, as with cron; a clock that is moved by hand fires
every tick on its way. A cron whose function was never deployed has nothing to call and stays silent.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
import uuid
from typing import Final

import msgspec

from fnkit.contract.cron import Schedule
from fnkit.contract.enums import Status
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.hosts import domain_name
from fnkit.platform.control.timestamps import rounded
from fnkit.platform.records.cron import CronRecord, Delivery
from fnkit.platform.records.function import FunctionRecord
from fnkit.platform.schedulers.delivery import Outcome, Unreachable, post

__all__ = ["CronScheduler"]

_ATTEMPTS: Final = 5
_RETRY_SECONDS: Final = 1.0  # real: a data plane that is being restarted
_LATE_SECONDS: Final = 90.0  # real: longer than any planned sleep of the clock (60 s)
_GRACE_SECONDS: Final = 60.0  # queueing and a cold start, beyond the function's own timeout
_REFUSED: Final = 300  # published: a status of 300 and more has failed
_NANOSECONDS: Final = 10**9
_logger = logging.getLogger(__name__)


class CronScheduler:
    """The next tick of every cron, in a heap; entries of changed crons are skipped when they come up."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._heap: list[tuple[float, int, str]] = []
        self._current: dict[str, int] = {}
        self._counter = 0
        self._changed = asyncio.Event()
        self._awake = time.monotonic()

    def load(self) -> None:
        """Plan every cron that is ready."""
        for record in self._context.store.crons.every(status=Status.READY.value):
            self.changed(record.id)

    def changed(self, cron_id: str) -> None:
        """Plan a cron anew after it changed or ended."""
        self._current.pop(cron_id, None)
        record = self._context.store.crons.get(cron_id)
        if record is not None and record.status is Status.READY:
            last = self._context.store.deliveries.last_tick(cron_id)
            now = self._context.clock.now()
            self._plan(record, now if last is None else max(now, last))
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
            if self._current.get(cron_id) != number:
                continue
            record = self._context.store.crons.get(cron_id)
            if record is None or record.status is not Status.READY:
                self._current.pop(cron_id, None)
                continue
            self._plan(record, now if slept else tick)
            self._begin(record, tick)

    def _next(self) -> float | None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _plan(self, record: CronRecord, after: float) -> None:
        tick = Schedule.parse(record.schedule).next_after(after)
        if tick is None:
            self._current.pop(record.id, None)
            return
        self._counter += 1
        self._current[record.id] = self._counter
        heapq.heappush(self._heap, (tick, self._counter, record.id))

    def _begin(self, record: CronRecord, tick: float) -> None:
        store = self._context.store
        function = store.functions.get(record.function_id)
        if function is None or function.serving is None:
            return
        delivery = Delivery(
            id=str(uuid.uuid4()),
            kind="cron",
            name=record.name,
            function=function.name,
            at=rounded(int(tick * _NANOSECONDS)),
            attempts=0,
            status="pending",
            body=msgspec.json.encode(record.args).decode(),
        )
        with store.transaction():
            last = store.deliveries.last_tick(record.id)
            if last is not None and tick <= last:
                return
            store.deliveries.begin_tick(record.id, tick)
            store.deliveries.begin(record.id, delivery)
        self._context.tasks.start(self._deliver(function, delivery), f"tick of cron {record.id}")

    async def _deliver(self, function: FunctionRecord, delivery: Delivery) -> None:
        outcome = Outcome(None, 0.0)
        attempt = 0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                outcome = await self._post(function, delivery.body)
                break
            except Unreachable as error:
                _logger.warning("The gateway did not take a tick of %s: %s", delivery.name, error)
                await asyncio.sleep(_RETRY_SECONDS)
        succeeded = outcome.http_status is not None and outcome.http_status < _REFUSED
        with self._context.store.transaction():
            self._context.store.deliveries.update(
                msgspec.structs.replace(
                    delivery,
                    attempts=attempt,
                    status="succeeded" if succeeded else "failed",
                    http_status=outcome.http_status,
                    duration_ms=outcome.duration_ms,
                )
            )

    async def _post(self, function: FunctionRecord, body: str) -> Outcome:
        settings = self._context.settings
        return await post(
            settings.gateway_socket,
            domain_name(function.host_label, function.region, settings.domain_suffix),
            body.encode(),
            "application/json",
            function.settings.timeout / _NANOSECONDS + _GRACE_SECONDS,
        )
