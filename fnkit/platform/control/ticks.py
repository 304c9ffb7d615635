"""What the cron scheduler asks of the store: which cron fires when, and each tick at most once.

A tick and its delivery are committed together before anything is sent, so that a control process that dies in
between never fires a tick twice. All ticks of one moment are one commit: five hundred cost one disk sync.
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
    """A cron that is ready: its schedule, and the moment (Unix seconds) after which its next tick lies.

    last: its newest tick that was begun, or ``None``.
    """

    schedule: str
    after: float
    last: float | None


class Ticks:
    """The ticks of every cron."""

    def __init__(self, context: ControlContext, log: DeliveryLog) -> None:
        self._context = context
        self._log = log

    def ready(self) -> list[str]:
        """Return the ids of the crons that fire."""
        return [record.id for record in self._context.store.crons.every(status=Status.READY.value)]

    def planned(self, cron_id: str) -> Planned | None:
        """Return what to plan for a cron, or ``None`` where it does not fire (now).

        Its ticks count from its creation, from the last change of its schedule, and from the last that was begun.
        """
        record = self._context.store.crons.get(cron_id)
        if record is None or record.status is not Status.READY:
            return None
        last = self._context.store.deliveries.last_tick(cron_id)
        since = (record.since or record.created_at) / _NANOSECONDS
        return Planned(record.schedule, since if last is None else max(since, last), last)

    def begin(self, due: Sequence[tuple[str, float]]) -> list[Firing]:
        """Begin ticks, all in one commit.

        Left out are those that had begun before, and those of crons that do not fire now or have nothing to call.
        """
        store, firings = self._context.store, []
        with store.transaction():
            for cron_id, tick in due:
                record = store.crons.get(cron_id)
                last = store.deliveries.last_tick(cron_id)
                if record is None or record.status is not Status.READY or (last is not None and tick <= last):
                    continue
                if firing := self._firing(record, "tick", int(tick * _NANOSECONDS)):
                    store.deliveries.begin_tick(cron_id, tick)
                    store.deliveries.put(cron_id, firing.delivery, firing.body)
                    self._log.wrote(cron_id)
                    firings.append(dataclasses.replace(firing, tick=tick))
        return firings

    def decided(self) -> float | None:
        """Return the moment (Unix seconds) up to which every tick had been begun, or never would be."""
        return self._context.store.facts.get(_DECIDED_FACT, float)

    def decide(self, moment: float) -> None:
        """Remember that moment."""
        with self._context.store.transaction():
            self._context.store.facts.put(_DECIDED_FACT, moment)

    def by_hand(self, record: CronRecord) -> Firing | None:
        """Begin a firing that is no tick; ``None`` where nothing is deployed that it could call."""
        firing = self._firing(record, "fire", self._context.clock.now_ns())
        if firing is not None:
            self._log.put(record.id, firing.delivery, firing.body)
        return firing

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
