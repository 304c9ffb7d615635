"""Which crons run when, and the requests that their runs and replays dispatch to functions.

A scheduled run and its delivery are committed together before anything is sent, so that a run is started at most
once, even if control is killed in between.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.gateway_client import DeliveryTarget, delivery_target
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.delivery import Delivery
from fnkit.platform.model.records import CronRecord, FunctionRecord

_NANOSECONDS_PER_SECOND: Final = 10**9

_HIGH_WATER_MARK_KEY: Final = "ticks_decided"


@dataclass(frozen=True, slots=True)
class DispatchRequest:
    """A recorded delivery that is to be sent to a function.

    Attributes:
        source_id: The cron or trigger.
        delivery: The delivery, in status ``pending``.
        body: The body of the request.
        target: The function to call.
        scheduled_at: Scheduled time of a cron's run in Unix seconds of platform time, ``None`` for other requests.
    """

    source_id: str
    delivery: Delivery
    body: bytes
    target: DeliveryTarget
    scheduled_at: float | None = None


def build_dispatch_request(
    context: ControlContext, source_id: str, function: FunctionRecord | None, delivery: Delivery, body: bytes
) -> DispatchRequest | None:
    """Return the request for a delivery, or ``None`` if no deployment of the function serves requests."""
    target = delivery_target(function, context.settings.domain_suffix)
    return None if target is None else DispatchRequest(source_id, delivery, body, target)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The schedule of a cron that is ready.

    Attributes:
        schedule: The cron expression.
        after: The next run is the first one scheduled after this time, in Unix seconds of platform time.
        last_run: Scheduled time of the last run in Unix seconds, or ``None``.
    """

    schedule: str
    after: float
    last_run: float | None


class CronState:
    """The schedules and scheduled runs of all crons."""

    def __init__(self, context: ControlContext, log: DeliveryLog) -> None:
        self._context = context
        self._log = log

    def ready_cron_ids(self) -> list[str]:
        """Return the ids of all crons that are ready."""
        return [record.id for record in self._context.store.crons.all(status=Status.READY.value)]

    def get_schedule(self, cron_id: str) -> Schedule | None:
        """Return the schedule of a cron, or ``None`` if the cron does not exist or is not ready.

        Runs count from the latest of the cron's creation, the last change of its schedule and its last run.
        """
        record = self._context.store.crons.get(cron_id)
        if record is None or record.status is not Status.READY:
            return None
        last = self._context.store.deliveries.last_scheduled_run(cron_id)
        since = (record.schedule_changed_at or record.created_at) / _NANOSECONDS_PER_SECOND
        return Schedule(record.schedule, since if last is None else max(since, last), last)

    def begin_runs(self, due: Sequence[tuple[str, float]]) -> list[DispatchRequest]:
        """Start scheduled runs, all in one commit.

        Skip runs that were started before, and runs of crons that are not ready or whose function is not deployed.

        Args:
            due: The cron's id and the scheduled time in Unix seconds, for each run.

        Returns:
            The requests to dispatch. Their deliveries are on disk.
        """
        store, requests = self._context.store, []
        with store.transaction():
            for cron_id, scheduled_at in due:
                record = store.crons.get(cron_id)
                last = store.deliveries.last_scheduled_run(cron_id)
                was_started = last is not None and scheduled_at <= last
                if record is None or record.status is not Status.READY or was_started:
                    continue
                if request := self._build_request(record, "tick", int(scheduled_at * _NANOSECONDS_PER_SECOND)):
                    store.deliveries.record_scheduled_run(cron_id, scheduled_at)
                    self._log.insert(cron_id, request.delivery, request.body)
                    requests.append(dataclasses.replace(request, scheduled_at=scheduled_at))
        return requests

    def high_water_mark(self) -> float | None:
        """Return the time in Unix seconds up to which every scheduled run was started or skipped for good."""
        return self._context.store.key_values.get(_HIGH_WATER_MARK_KEY, float)

    def set_high_water_mark(self, timestamp: float) -> None:
        """Set the high-water mark, in Unix seconds."""
        with self._context.store.transaction():
            self._context.store.key_values.put(_HIGH_WATER_MARK_KEY, timestamp)

    def fire_manually(self, record: CronRecord) -> DispatchRequest | None:
        """Record a run outside the schedule and return its request, or ``None`` if nothing is deployed."""
        request = self._build_request(record, "fire", self._context.clock.now_ns())
        if request is not None:
            self._log.record(record.id, request.delivery, request.body)
        return request

    def _build_request(self, record: CronRecord, cause: str, at: int) -> DispatchRequest | None:
        function = self._context.store.functions.get(record.function_id)
        if function is None:
            return None
        body = msgspec.json.encode(record.args)
        delivery = Delivery(
            id=str(uuid.uuid4()),
            kind="cron",
            name=record.name,
            function=function.name,
            at=format_microseconds(at),
            cause=cause,
            body_size=len(body),
        )
        return build_dispatch_request(self._context, record.id, function, delivery, body)
