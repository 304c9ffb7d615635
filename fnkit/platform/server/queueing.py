"""Assembly of the queue triggers of control: broker settings, broker backends and the trigger manager."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fnkit.contract.platform import TriggerStatus
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.layout import QueueSettings
from fnkit.platform.schedulers.broker_settings import BrokerConfig
from fnkit.platform.schedulers.delivery import GatewayClient
from fnkit.platform.schedulers.nats_kind import NatsBackend
from fnkit.platform.schedulers.queues import TriggerManager
from fnkit.platform.schedulers.sqs_kind import SqsBackend

__all__ = ["QueueTriggers"]


class QueueTriggers:
    """Runs the queue triggers. It registers itself with ``plane`` as the source of their states.

    Args:
        plane: The control plane.
        gateway_client: Delivers messages to the gateway.
        settings: Brokers of queue triggers.
    """

    def __init__(self, plane: ControlPlane, gateway_client: GatewayClient, settings: QueueSettings) -> None:
        self._tasks = plane.context.tasks
        self._triggers = plane.triggers
        file = Path(settings.brokers_file) if settings.brokers_file else plane.context.layout.brokers_file
        self._broker_config = BrokerConfig(
            file, settings.environment, _own_nats_broker(settings.nats_url), settings.nats_unavailable_reason
        )
        self._nats = NatsBackend(plane.context, self._broker_config.nats_for)
        sqs = SqsBackend(self._broker_config.sqs_for, plane.triggers.decrypt_secret_key)
        self.manager = TriggerManager(
            plane.context, plane.triggers, plane.delivery_log, gateway_client, (self._nats, sqs)
        )

        plane.list_trigger_states = self._trigger_states

    def start(self) -> None:
        """Start the trigger manager and its background tasks."""
        self._tasks.start(self.manager.run(), "queue triggers")
        self._tasks.start(self._broker_config.watch(self.manager.on_brokers_changed), "broker settings")
        self._tasks.start(self._nats.run_cleanup(), "consumers of deleted triggers")

    async def stop(self) -> None:
        """Stop requesting messages, and give those in flight a few seconds."""
        await self.manager.stop()

    def _trigger_states(self) -> list[TriggerStatus]:
        triggers, found = self._triggers, []
        for trigger_id, report in self.manager.statuses().items():
            if (record := triggers.get_active(trigger_id)) is not None:
                found.append(
                    TriggerStatus(id=trigger_id, name=record.name, state=report.state, words=report.message)
                )
        return found


def _own_nats_broker(url: str) -> NatsBroker | None:
    if not url:
        return None
    parts = urlsplit(url)
    return NatsBroker(
        url=f"nats://{parts.hostname}:{parts.port}", user=parts.username or "", password=parts.password or ""
    )
