"""The state of crons that the scheduler needs: their schedules and their last runs.

All runs that are due at the same time are one commit: five hundred of them cost one disk sync.
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
from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.control.firing import Firing, firing_for
from fnkit.platform.control.timestamps import rounded
from fnkit.platform.records.cron import CronRecord
from fnkit.platform.records.delivery import Delivery

__all__ = ["Planned", "Ticks"]

_NANOSECONDS: Final = 10**9
_DECIDED_FACT: Final = "ticks_decided"


@dataclass(frozen=True, slots=True)
class Planned:
    """The schedule of a cron that is ready.

    Attributes:
        schedule: The cron expression.
        after: The next run is the first one scheduled after this time, in Unix seconds of platform time.
        last_run: Scheduled time of the last run in Unix seconds, or ``None``.
    """

    schedule: str
    after: float
    last: float | None


class Ticks:
    """The schedules and scheduled runs of all crons."""

    def __init__(self, context: ControlContext, log: DeliveryLog) -> None:
        self._context = context
        self._log = log

    def ready(self) -> list[str]:
        """Return the ids of all crons that are ready."""
        return [record.id for record in self._context.store.crons.every(status=Status.READY.value)]

    def planned(self, cron_id: str) -> Planned | None:
        """Return the schedule of a cron, or ``None`` if the cron does not exist or is not ready.

        Runs count from the latest of the cron's creation, the last change of its schedule and its last run.
        """
        record = self._context.store.crons.get(cron_id)
        if record is None or record.status is not Status.READY:
            return None
        last = self._context.store.deliveries.last_tick(cron_id)
        since = (record.since or record.created_at) / _NANOSECONDS
        return Planned(record.schedule, since if last is None else max(since, last), last)

    def begin(self, due: Sequence[tuple[str, float]]) -> list[Firing]:
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
                last = store.deliveries.last_tick(cron_id)
                if (
                    record is None
                    or record.status is not Status.READY
                    or (last is not None and scheduled_at <= last)
                ):
                    continue
                if request := self._firing(record, "tick", int(scheduled_at * _NANOSECONDS)):
                    store.deliveries.begin_tick(cron_id, scheduled_at)
                    store.deliveries.put(cron_id, request.delivery, request.body)
                    self._log.wrote(cron_id)
                    requests.append(dataclasses.replace(request, tick=scheduled_at))
        return requests

    def decided(self) -> float | None:
        """Return the time in Unix seconds up to which every scheduled run was started or skipped for good."""
        return self._context.store.facts.get(_DECIDED_FACT, float)

    def decide(self, moment: float) -> None:
        """Set the high-water mark, in Unix seconds."""
        with self._context.store.transaction():
            self._context.store.facts.put(_DECIDED_FACT, moment)

    def by_hand(self, record: CronRecord) -> Firing | None:
        """Record a run outside the schedule and return its request, or ``None`` if nothing is deployed."""
        request = self._firing(record, "fire", self._context.clock.now_ns())
        if request is not None:
            self._log.put(record.id, request.delivery, request.body)
        return request

    def _firing(self, record: CronRecord, cause: str, at: int) -> Firing | None:
        function = self._context.store.functions.get(record.function_id)
        if function is None:
            return None
        body = msgspec.json.encode(record.args)
        delivery = Delivery(
            id=str(uuid.uuid4()),
            kind="cron",
            name=record.name,
            function=function.name,
            at=rounded(at),
            cause=cause,
            body_size=len(body),
        )
        return firing_for(self._context, record.id, function, delivery, body)
