"""NATS as a broker backend: the endpoints of its triggers, and the removal of their consumers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.context import ControlContext
from fnkit.platform.records.trigger import NatsSource, TriggerRecord
from fnkit.platform.schedulers.jetstream import remove_consumer
from fnkit.platform.schedulers.listening import BrokerError
from fnkit.platform.schedulers.nats_connection import NatsConnections, is_nats_installed
from fnkit.platform.schedulers.nats_consumers import ConsumerRegistry, ConsumerRecord
from fnkit.platform.schedulers.nats_listener import NatsMessageSource, consumer_name

__all__ = ["NatsBackend"]

_CLEANUP_RETRY_INTERVAL: Final = 10.0
_NOT_INSTALLED: Final = "NATS needs fnkit[queues]: pip install 'fnkit[queues]', then start the platform again"
_logger = logging.getLogger(__name__)


class NatsBackend:
    """The backend of NATS triggers."""

    def __init__(self, context: ControlContext, broker_for: Callable[[str, str, str], NatsBroker | str]) -> None:
        """Create the backend.

        Args:
            context: What all parts of control share.
            broker_for: Returns the broker of an account, a project and a region, or the reason why there is none.
        """
        self._context = context
        self._broker_for = broker_for
        self._connections = NatsConnections()
        self._registry = ConsumerRegistry(context)
        self._deleted_triggers: set[str] = set()
        self._trigger_deleted = asyncio.Event()

    def handles(self, record: TriggerRecord) -> bool:
        """Return whether the trigger's source is NATS."""
        return isinstance(record.source, NatsSource)

    def endpoint(self, record: TriggerRecord) -> NatsBroker | str:
        """Return the broker of a trigger, or the reason why it has none.

        The subject of a trigger never changes, so only its broker can.
        """
        if not isinstance(record.source, NatsSource):
            raise TypeError(record.source)
        source = record.source
        # Messages count from the creation of the record, so create it even if the broker is not available yet.
        self._registry.get_or_create(record.id, source)
        if not is_nats_installed():
            return _NOT_INSTALLED
        return self._broker_for(source.account_id, source.project_id, source.region)

    def create_source(self, record: TriggerRecord) -> NatsMessageSource:
        """Create the message source of a trigger."""
        broker = self.endpoint(record)
        if not isinstance(broker, NatsBroker) or not isinstance(record.source, NatsSource):
            raise TypeError(broker)
        return NatsMessageSource(self._connections, broker, record.id, record.source, self._registry)

    def on_deleted(self, trigger_id: str) -> None:
        """Schedule the removal of the consumers of a deleted trigger."""
        self._deleted_triggers.add(trigger_id)
        self._trigger_deleted.set()

    async def run_cleanup(self) -> None:
        """Remove the consumers of deleted triggers, forever. Failed removals are tried again every ten seconds."""
        self._deleted_triggers = {
            trigger_id
            for trigger_id in self._registry.all()
            if self._context.store.triggers.get(trigger_id) is None
        }
        while True:
            self._trigger_deleted.clear()
            for trigger_id in list(self._deleted_triggers):
                record = self._registry.all().get(trigger_id)
                if record is None or await self._remove_consumers(trigger_id, record):
                    self._registry.remove(trigger_id)
                    self._deleted_triggers.discard(trigger_id)
            try:
                await asyncio.wait_for(
                    self._trigger_deleted.wait(), _CLEANUP_RETRY_INTERVAL if self._deleted_triggers else None
                )
            except TimeoutError:
                continue

    async def _remove_consumers(self, trigger_id: str, record: ConsumerRecord) -> bool:
        """Remove the consumers of a deleted trigger, and return whether that was possible."""
        if not record.ack_floors:
            return True
        broker = self._broker_for(record.account, record.project, record.region)
        if isinstance(broker, str) or not is_nats_installed():
            return False
        connection = self._connections.acquire(broker)
        try:
            client = await connection.wait_for_client()
            for stream in record.ack_floors:
                await remove_consumer(client, stream, consumer_name(trigger_id))
        except BrokerError as error:
            _logger.info("The consumers of deleted trigger %s are not removed yet: %s", trigger_id, error)
            return False
        finally:
            await self._connections.release(broker)
        return True
