"""Follows the triggers: one subscription for each that is live, for as long as it is.

What changed is heard from the store (a trigger, or its function), never asked for; brokers' settings are looked at
again when their file changes. A trigger without a broker is idle: it stays ready (decision 29), and its report and
one line in the log say why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.control.triggers import Triggers
from fnkit.platform.records.trigger import TriggerRecord
from fnkit.platform.schedulers.delivery import Door
from fnkit.platform.schedulers.listening import Listener
from fnkit.platform.schedulers.subscription import Report, Subscription
from fnkit.platform.schedulers.targets import target_of

__all__ = ["BrokerKind", "QueueScheduler"]

_DRAIN_SECONDS: Final = 8.0  # less than the supervisor gives the whole process
_NO_KIND: Final = "nothing here listens to its kind of broker"
_logger = logging.getLogger(__name__)


class BrokerKind(Protocol):
    """One kind of broker: where its triggers listen, and their ears there."""

    def covers(self, record: TriggerRecord) -> bool:
        """Whether that trigger is of this kind."""

    def place(self, record: TriggerRecord) -> Hashable | str:
        """Return where it listens: anything that differs when it must listen elsewhere. A text: why nowhere."""

    def listener(self, record: TriggerRecord) -> Listener:
        """Return its ear there."""

    def gone(self, trigger_id: str) -> None:
        """That trigger is not there any more: what it left at its broker is to be removed, now or later."""


@dataclass(slots=True)
class _Followed:
    """A live trigger. ``subscription`` is ``None`` while it is idle."""

    record: TriggerRecord
    place: Hashable | str
    report: Report
    subscription: Subscription | None = None


class QueueScheduler:
    """See the module. Lives on control's event loop."""

    def __init__(
        self,
        context: ControlContext,
        triggers: Triggers,
        log: DeliveryLog,
        door: Door,
        kinds: Iterable[BrokerKind],
    ) -> None:
        self._context = context
        self._triggers = triggers
        self._log = log
        self._door = door
        self._kinds = tuple(kinds)
        self._followed: dict[str, _Followed] = {}
        self._changed_triggers: set[str] = set()
        self._changed_functions: set[str] = set()
        self._faults: dict[str, str | None] = {}
        self._something = asyncio.Event()

    def reports(self) -> dict[str, Report]:
        """Return how each live trigger listens."""
        return {trigger_id: followed.report for trigger_id, followed in self._followed.items()}

    def brokers_changed(self) -> None:
        """Look again where every trigger listens."""
        self._changed_triggers.update(record.id for record in self._triggers.live())
        self._something.set()

    async def run(self) -> None:
        """Follow, for ever."""
        self._context.store.triggers.listen(self._trigger_changed)
        self._context.store.functions.listen(self._function_changed)
        self.brokers_changed()
        while True:
            await self._something.wait()
            self._something.clear()
            await self._tell()
            triggers, self._changed_triggers = self._changed_triggers, set()
            functions, self._changed_functions = self._changed_functions, set()
            for trigger_id in triggers:
                await self._follow(trigger_id)
            for followed in list(self._followed.values()):
                if followed.record.function_id in functions:
                    self._refresh(followed)

    async def retry_due(self) -> None:
        """The clock was moved: begin every attempt that is due."""
        for followed in list(self._followed.values()):
            if followed.subscription is not None:
                await followed.subscription.retry_due()

    async def stop(self) -> None:
        """Ask for nothing more, and let what is in flight end."""
        subscriptions = [one.subscription for one in self._followed.values() if one.subscription is not None]
        await asyncio.gather(*(one.stop(_DRAIN_SECONDS) for one in subscriptions))

    def _trigger_changed(self, trigger_id: str) -> None:
        self._changed_triggers.add(trigger_id)
        self._something.set()

    def _function_changed(self, function_id: str) -> None:
        self._changed_functions.add(function_id)
        self._something.set()

    async def _follow(self, trigger_id: str) -> None:
        record = self._triggers.live_one(trigger_id)
        followed = self._followed.get(trigger_id)
        if record is None:
            if followed is not None:
                del self._followed[trigger_id]
                self._end(followed)
            if self._context.store.triggers.get(trigger_id) is None:
                for one in self._kinds:
                    one.gone(trigger_id)
            return
        kind = next((one for one in self._kinds if one.covers(record)), None)
        place = _NO_KIND if kind is None else kind.place(record)
        if followed is None or followed.place != place:
            if followed is not None:
                self._end(followed)
            followed = self._followed[trigger_id] = self._begin(kind, record, place)
        followed.record = record
        self._refresh(followed)

    def _begin(self, kind: BrokerKind | None, record: TriggerRecord, place: Hashable | str) -> _Followed:
        if kind is None or isinstance(place, str):
            _logger.info("Trigger %s (%s) is idle: %s", record.id, record.name, place)
            self._say(record.id, None)
            return _Followed(record, place, Report("idle", str(place)))
        followed = _Followed(record, place, Report("trouble", "not connected yet"))

        def report(new: Report) -> None:
            if new == followed.report:
                return
            followed.report = new
            level = logging.INFO if new.state == "listening" else logging.WARNING
            _logger.log(level, "Trigger %s (%s): %s", record.id, record.name, new.words)
            self._say(record.id, new.words if new.state == "trouble" else None)

        followed.subscription = Subscription(
            self._context, self._log, self._door, record, kind.listener(record), report
        )
        followed.subscription.start()
        return followed

    def _refresh(self, followed: _Followed) -> None:
        if followed.subscription is not None:
            record = followed.record
            followed.subscription.refresh(record, target_of(self._context, record.function_id))

    def _end(self, followed: _Followed) -> None:
        if followed.subscription is not None:
            self._context.tasks.start(
                followed.subscription.stop(_DRAIN_SECONDS), f"end of trigger {followed.record.id}"
            )

    def _say(self, trigger_id: str, fault: str | None) -> None:
        self._faults[trigger_id] = fault
        self._something.set()

    async def _tell(self) -> None:
        """Bring reports into the triggers' own status."""
        faults, self._faults = self._faults, {}
        for trigger_id, fault in faults.items():
            await self._triggers.listened(trigger_id, fault)
