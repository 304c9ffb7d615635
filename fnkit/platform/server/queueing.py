"""Assembly of the queue triggers of control: broker settings, broker backends and the trigger manager."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fnkit.contract.platform import TriggerListening
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.layout import QueueSettings
from fnkit.platform.schedulers.broker_settings import BrokerSettings
from fnkit.platform.schedulers.delivery import Door
from fnkit.platform.schedulers.nats_kind import NatsKind
from fnkit.platform.schedulers.queues import QueueScheduler
from fnkit.platform.schedulers.sqs_kind import SqsKind

__all__ = ["Queueing"]


class Queueing:
    """Runs the queue triggers. It registers itself with ``plane`` as the source of their states.

    Args:
        plane: The control plane.
        gateway_client: Delivers messages to the gateway.
        settings: Brokers of queue triggers.
    """

    def __init__(self, plane: ControlPlane, door: Door, settings: QueueSettings) -> None:
        self._tasks = plane.context.tasks
        self._triggers = plane.triggers
        file = Path(settings.brokers) if settings.brokers else plane.context.layout.brokers
        self._settings = BrokerSettings(
            file, settings.variables, _embedded(settings.nats_url), settings.why_no_nats
        )
        self._nats = NatsKind(plane.context, self._settings.nats_for)
        sqs = SqsKind(self._settings.sqs_for, plane.triggers.secret_key)
        self.scheduler = QueueScheduler(plane.context, plane.triggers, plane.deliveries, door, (self._nats, sqs))

        plane.listening = self._listening

    def start(self) -> None:
        """Start the trigger manager and its background tasks."""
        self._tasks.start(self.scheduler.run(), "queue triggers")
        self._tasks.start(self._settings.watch(self.scheduler.brokers_changed), "broker settings")
        self._tasks.start(self._nats.clean(), "consumers of deleted triggers")

    async def stop(self) -> None:
        """Stop requesting messages, and give those in flight a few seconds."""
        await self.scheduler.stop()

    def _listening(self) -> list[TriggerListening]:
        triggers, found = self._triggers, []
        for trigger_id, report in self.scheduler.reports().items():
            if (record := triggers.live_one(trigger_id)) is not None:
                found.append(
                    TriggerListening(id=trigger_id, name=record.name, state=report.state, words=report.words)
                )
        return found


def _embedded(url: str) -> NatsBroker | None:
    if not url:
        return None
    parts = urlsplit(url)
    return NatsBroker(
        url=f"nats://{parts.hostname}:{parts.port}", user=parts.username or "", password=parts.password or ""
    )
