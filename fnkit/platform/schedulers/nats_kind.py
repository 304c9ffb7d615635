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
from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.nats_connection import NatsConnections, has_nats
from fnkit.platform.schedulers.nats_consumers import ConsumerBook, Entry
from fnkit.platform.schedulers.nats_listener import NatsListener, consumer_name

__all__ = ["NatsKind"]

_AGAIN_SECONDS: Final = 10.0
_NOT_INSTALLED: Final = "NATS needs fnkit[queues]: pip install 'fnkit[queues]', then start the platform again"
_logger = logging.getLogger(__name__)


class NatsKind:
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
        self._book = ConsumerBook(context)
        self._gone: set[str] = set()
        self._something_gone = asyncio.Event()

    def covers(self, record: TriggerRecord) -> bool:
        """Return whether the trigger's source is NATS."""
        return isinstance(record.source, NatsSource)

    def place(self, record: TriggerRecord) -> NatsBroker | str:
        """Return the broker of a trigger, or the reason why it has none.

        The subject of a trigger never changes, so only its broker can.
        """
        if not isinstance(record.source, NatsSource):
            raise TypeError(record.source)
        source = record.source
        # Messages count from the creation of the record, so create it even if the broker is not available yet.
        self._book.entry(record.id, source)
        if not has_nats():
            return _NOT_INSTALLED
        return self._broker_for(source.account_id, source.project_id, source.region)

    def listener(self, record: TriggerRecord) -> NatsListener:
        """Create the message source of a trigger."""
        broker = self.place(record)
        if not isinstance(broker, NatsBroker) or not isinstance(record.source, NatsSource):
            raise TypeError(broker)
        return NatsListener(self._connections, broker, record.id, record.source, self._book)

    def gone(self, trigger_id: str) -> None:
        """Schedule the removal of the consumers of a deleted trigger."""
        self._gone.add(trigger_id)
        self._something_gone.set()

    async def clean(self) -> None:
        """Remove the consumers of deleted triggers, forever. Failed removals are tried again every ten seconds."""
        self._gone = {
            trigger_id
            for trigger_id in self._book.entries()
            if self._context.store.triggers.get(trigger_id) is None
        }
        while True:
            self._something_gone.clear()
            for trigger_id in list(self._gone):
                record = self._book.entries().get(trigger_id)
                if record is None or await self._removed(trigger_id, record):
                    self._book.forget(trigger_id)
                    self._gone.discard(trigger_id)
            try:
                await asyncio.wait_for(self._something_gone.wait(), _AGAIN_SECONDS if self._gone else None)
            except TimeoutError:
                continue

    async def _removed(self, trigger_id: str, record: Entry) -> bool:
        """Remove the consumers of a deleted trigger, and return whether that was possible."""
        if not record.streams:
            return True
        broker = self._broker_for(record.account, record.project, record.region)
        if isinstance(broker, str) or not has_nats():
            return False
        connection = self._connections.take(broker)
        try:
            client = await connection.client()
            for stream in record.streams:
                await remove_consumer(client, stream, consumer_name(trigger_id))
        except BrokerTrouble as error:
            _logger.info("The consumers of deleted trigger %s are not removed yet: %s", trigger_id, error)
            return False
        finally:
            await self._connections.give(broker)
        return True
