"""Keeps one queue consumer for each active trigger.

The store notifies the manager of changed triggers and functions. When the broker settings change, all triggers are
checked. A trigger without a broker is idle: its API status stays ``ready``, and its consumer status and the log
state the reason (``docs/triggers.md``).
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

_DRAIN_SECONDS: Final = 8.0  # less than the supervisor's stop timeout for control
_NO_KIND: Final = "no backend supports its type of source"
_logger = logging.getLogger(__name__)


class BrokerKind(Protocol):
    """A kind of broker: where its triggers are consumed, and how."""

    def covers(self, record: TriggerRecord) -> bool:
        """Return whether the backend handles the trigger."""

    def place(self, record: TriggerRecord) -> Hashable | str:
        """Return where the trigger's messages come from, or the reason why it has no source.

        The trigger gets a new source whenever the returned value changes.
        """

    def listener(self, record: TriggerRecord) -> Listener:
        """Create the message source of a trigger that has an endpoint."""

    def gone(self, trigger_id: str) -> None:
        """Clean up after a deleted trigger, now or in the background."""


@dataclass(slots=True)
class _Followed:
    """An active trigger. ``consumer`` is ``None`` while it is idle."""

    record: TriggerRecord
    place: Hashable | str
    report: Report
    subscription: Subscription | None = None


class QueueScheduler:
    """Starts, updates and stops queue consumers. Lives on the event loop of control."""

    def __init__(
        self,
        context: ControlContext,
        triggers: Triggers,
        log: DeliveryLog,
        gateway: Door,
        backends: Iterable[BrokerKind],
    ) -> None:
        self._context = context
        self._triggers = triggers
        self._log = log
        self._door = gateway
        self._kinds = tuple(backends)
        self._followed: dict[str, _Followed] = {}
        self._changed_triggers: set[str] = set()
        self._changed_functions: set[str] = set()
        self._faults: dict[str, str | None] = {}
        self._something = asyncio.Event()

    def reports(self) -> dict[str, Report]:
        """Return the status of the consumer of each active trigger, by trigger id."""
        return {trigger_id: trigger.report for trigger_id, trigger in self._followed.items()}

    def brokers_changed(self) -> None:
        """Check the endpoints of all triggers again."""
        self._changed_triggers.update(record.id for record in self._triggers.live())
        self._something.set()

    async def run(self) -> None:
        """Follow changes, forever."""
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
            for trigger in list(self._followed.values()):
                if trigger.record.function_id in functions:
                    self._refresh(trigger)

    async def retry_due(self) -> None:
        """Start attempts that are due. Called after the clock was moved."""
        for trigger in list(self._followed.values()):
            if trigger.subscription is not None:
                await trigger.subscription.retry_due()

    async def stop(self) -> None:
        """Stop requesting messages, and wait for those in flight."""
        consumers = [
            trigger.subscription for trigger in self._followed.values() if trigger.subscription is not None
        ]
        await asyncio.gather(*(trigger.stop(_DRAIN_SECONDS) for trigger in consumers))

    def _trigger_changed(self, trigger_id: str) -> None:
        self._changed_triggers.add(trigger_id)
        self._something.set()

    def _function_changed(self, function_id: str) -> None:
        self._changed_functions.add(function_id)
        self._something.set()

    async def _follow(self, trigger_id: str) -> None:
        record = self._triggers.live_one(trigger_id)
        active = self._followed.get(trigger_id)
        if record is None:
            if active is not None:
                del self._followed[trigger_id]
                self._end(active)
            if self._context.store.triggers.get(trigger_id) is None:
                for candidate in self._kinds:
                    candidate.gone(trigger_id)
            return
        backend = next((candidate for candidate in self._kinds if candidate.covers(record)), None)
        endpoint = _NO_KIND if backend is None else backend.place(record)
        if active is None or active.place != endpoint:
            if active is not None:
                self._end(active)
            active = self._followed[trigger_id] = self._begin(backend, record, endpoint)
        active.record = record
        self._refresh(active)

    def _begin(self, backend: BrokerKind | None, record: TriggerRecord, endpoint: Hashable | str) -> _Followed:
        if backend is None or isinstance(endpoint, str):
            _logger.info("Trigger %s (%s) is idle: %s", record.id, record.name, endpoint)
            self._say(record.id, None)
            return _Followed(record, endpoint, Report("idle", str(endpoint)))
        active = _Followed(record, endpoint, Report("trouble", "not connected yet"))

        def on_status_change(status: Report) -> None:
            if status == active.report:
                return
            active.report = status
            level = logging.INFO if status.state == "listening" else logging.WARNING
            _logger.log(level, "Trigger %s (%s): %s", record.id, record.name, status.words)
            self._say(record.id, status.words if status.state == "trouble" else None)

        active.subscription = Subscription(
            self._context, self._log, self._door, record, backend.listener(record), on_status_change
        )
        active.subscription.start()
        return active

    def _refresh(self, trigger: _Followed) -> None:
        if trigger.subscription is not None:
            record = trigger.record
            trigger.subscription.refresh(record, target_of(self._context, record.function_id))

    def _end(self, trigger: _Followed) -> None:
        if trigger.subscription is not None:
            self._context.tasks.start(
                trigger.subscription.stop(_DRAIN_SECONDS), f"end of trigger {trigger.record.id}"
            )

    def _say(self, trigger_id: str, error: str | None) -> None:
        self._faults[trigger_id] = error
        self._something.set()

    async def _tell(self) -> None:
        """Write changed connection errors to the API status of the triggers."""
        errors, self._faults = self._faults, {}
        for trigger_id, error in errors.items():
            await self._triggers.listened(trigger_id, error)
