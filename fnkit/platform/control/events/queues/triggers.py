"""The queue triggers: one queue consumer for each active trigger.

The store notifies ``QueueTriggers`` of changed triggers and functions. When the broker settings change, it
checks all triggers. A trigger without a broker is idle: its API status stays ``ready``, and its consumer status and
the log state the reason (``docs/triggers.md``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.contract.deliveries import SendMessage, SentMessage
from fnkit.contract.platform import CONNECTING, TriggerStatus
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.errors import ControlError
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.gateway_client import GatewayClient, delivery_target
from fnkit.platform.control.events.queues.broker_config import BrokerConfig
from fnkit.platform.control.events.queues.consumer import ConsumerStatus, QueueConsumer
from fnkit.platform.control.events.queues.interface import BrokerBackend
from fnkit.platform.control.events.queues.nats.source import NatsBackend
from fnkit.platform.control.events.queues.sending import send_message
from fnkit.platform.control.events.queues.sqs.source import SqsBackend
from fnkit.platform.control.resources.triggers import Triggers
from fnkit.platform.model.records import NatsSource, TriggerRecord

_DRAIN_TIMEOUT: Final = 8.0  # less than the supervisor's stop timeout for control
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _ActiveTrigger:
    """An active trigger. ``consumer`` is ``None`` while it is idle."""

    record: TriggerRecord
    endpoint: Hashable | str
    status: ConsumerStatus
    consumer: QueueConsumer | None = None


class QueueTriggers:
    """Starts, updates and stops the queue consumers. Lives on the event loop of control.

    Args:
        context: Shared dependencies.
        triggers: The operations on triggers.
        log: The delivery log.
        gateway: Sends messages to functions.
    """

    def __init__(
        self, context: ControlContext, triggers: Triggers, log: DeliveryLog, gateway: GatewayClient
    ) -> None:
        self._context = context
        self._triggers = triggers
        self._log = log
        self._gateway = gateway
        settings = context.settings
        file = Path(settings.brokers_file) if settings.brokers_file else context.layout.brokers_file
        self._broker_config = BrokerConfig(file, settings.queues)
        self._nats = NatsBackend(context, self._broker_config.nats_for)
        self._sqs = SqsBackend(self._broker_config.sqs_for, triggers.decrypt_secret_key)
        self._active: dict[str, _ActiveTrigger] = {}
        self._changed_triggers: set[str] = set()
        self._changed_functions: set[str] = set()
        self._errors: dict[str, str | None] = {}
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Start the background tasks."""
        tasks = self._context.tasks
        tasks.start(self._run(), "queue triggers")
        tasks.start(self._broker_config.watch(self._on_brokers_changed), "broker settings")
        tasks.start(self._nats.run_cleanup(), "consumers of deleted triggers")

    async def stop(self) -> None:
        """Stop requesting messages, and give those in flight a few seconds."""
        consumers = [trigger.consumer for trigger in self._active.values() if trigger.consumer is not None]
        await asyncio.gather(*(consumer.stop(_DRAIN_TIMEOUT) for consumer in consumers))

    async def retry_due(self) -> None:
        """Start attempts that are due. Called after the clock was moved."""
        for trigger in list(self._active.values()):
            if trigger.consumer is not None:
                await trigger.consumer.retry_due()

    def statuses(self) -> list[TriggerStatus]:
        """Return the state of each active trigger's connection to its broker."""
        return [
            TriggerStatus(
                id=record.id,
                name=record.name,
                function_id=record.function_id,
                state=trigger.status.state,
                words=trigger.status.message,
            )
            for trigger_id, trigger in self._active.items()
            if (record := self._triggers.get_active(trigger_id)) is not None
        ]

    async def send(self, region: str, trigger_id: str, request: SendMessage) -> SentMessage:
        """Send a message to where a trigger receives from.

        Raises:
            ControlError: 404, or the message cannot be sent.
        """
        record = self._triggers.get_active(trigger_id)
        if record is None or record.region != region:
            raise ControlError(404, "trigger does not exist")
        return await send_message(self._backend(record), record, request)

    def _backend(self, record: TriggerRecord) -> BrokerBackend:
        return self._nats if isinstance(record.source, NatsSource) else self._sqs

    def _on_brokers_changed(self) -> None:
        """Check the endpoints of all triggers again."""
        self._changed_triggers.update(record.id for record in self._triggers.list_active())
        self._changed.set()

    async def _run(self) -> None:
        """Follow changes, forever."""
        self._context.store.triggers.subscribe(self._on_trigger_changed)
        self._context.store.functions.subscribe(self._on_function_changed)
        self._on_brokers_changed()
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._publish_status()
            triggers, self._changed_triggers = self._changed_triggers, set()
            functions, self._changed_functions = self._changed_functions, set()
            for trigger_id in triggers:
                await self._sync(trigger_id)
            for trigger in list(self._active.values()):
                if trigger.record.function_id in functions:
                    self._refresh_consumer(trigger)

    def _on_trigger_changed(self, trigger_id: str) -> None:
        self._changed_triggers.add(trigger_id)
        self._changed.set()

    def _on_function_changed(self, function_id: str) -> None:
        self._changed_functions.add(function_id)
        self._changed.set()

    async def _sync(self, trigger_id: str) -> None:
        record = self._triggers.get_active(trigger_id)
        active = self._active.get(trigger_id)
        if record is None:
            if active is not None:
                del self._active[trigger_id]
                self._deactivate(active)
            if self._context.store.triggers.get(trigger_id) is None:
                self._nats.on_deleted(trigger_id)
            return
        backend = self._backend(record)
        endpoint = backend.endpoint(record)
        if active is None or active.endpoint != endpoint:
            if active is not None:
                self._deactivate(active)
            active = self._active[trigger_id] = self._activate(backend, record, endpoint)
        active.record = record
        self._refresh_consumer(active)

    def _activate(self, backend: BrokerBackend, record: TriggerRecord, endpoint: Hashable | str) -> _ActiveTrigger:
        if isinstance(endpoint, str):
            _logger.info("Trigger %s (%s) is idle: %s", record.id, record.name, endpoint)
            self._set_error(record.id, None)
            return _ActiveTrigger(record, endpoint, ConsumerStatus("idle", endpoint))
        active = _ActiveTrigger(record, endpoint, ConsumerStatus("trouble", CONNECTING))

        def on_status_change(status: ConsumerStatus) -> None:
            if status == active.status:
                return
            active.status = status
            level = logging.INFO if status.state == "listening" else logging.WARNING
            _logger.log(level, "Trigger %s (%s): %s", record.id, record.name, status.message)
            self._set_error(record.id, status.message if status.state == "trouble" else None)

        active.consumer = QueueConsumer(
            self._context, self._log, self._gateway, record, backend.create_source(record), on_status_change
        )
        active.consumer.start()
        return active

    def _refresh_consumer(self, trigger: _ActiveTrigger) -> None:
        if trigger.consumer is not None:
            function = self._context.store.functions.get(trigger.record.function_id)
            target = delivery_target(function, self._context.settings.domain_suffix)
            trigger.consumer.refresh(trigger.record, target)

    def _deactivate(self, trigger: _ActiveTrigger) -> None:
        if trigger.consumer is not None:
            self._context.tasks.start(trigger.consumer.stop(_DRAIN_TIMEOUT), f"end of trigger {trigger.record.id}")

    def _set_error(self, trigger_id: str, error: str | None) -> None:
        self._errors[trigger_id] = error
        self._changed.set()

    async def _publish_status(self) -> None:
        """Write changed connection errors to the API status of the triggers."""
        errors, self._errors = self._errors, {}
        for trigger_id, error in errors.items():
            await self._triggers.store_status(trigger_id, error)
