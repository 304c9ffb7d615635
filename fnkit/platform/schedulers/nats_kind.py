"""NATS as a kind of broker: where its triggers listen, and what is cleaned up after them."""

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
    """See ``queues.BrokerKind``.

    broker_for: the broker of an account, project and region, or why there is none.
    """

    def __init__(self, context: ControlContext, broker_for: Callable[[str, str, str], NatsBroker | str]) -> None:
        self._context = context
        self._broker_for = broker_for
        self._connections = NatsConnections()
        self._book = ConsumerBook(context)
        self._gone: set[str] = set()
        self._something_gone = asyncio.Event()

    def covers(self, record: TriggerRecord) -> bool:
        """See ``BrokerKind``."""
        return isinstance(record.source, NatsSource)

    def place(self, record: TriggerRecord) -> NatsBroker | str:
        """See ``BrokerKind``. A trigger's subject never changes, so its broker is all that may."""
        if not isinstance(record.source, NatsSource):
            raise TypeError(record.source)
        source = record.source
        # From now on messages are this trigger's, also while its broker is not there yet.
        self._book.entry(record.id, source)
        if not has_nats():
            return _NOT_INSTALLED
        return self._broker_for(source.account_id, source.project_id, source.region)

    def listener(self, record: TriggerRecord) -> NatsListener:
        """See ``BrokerKind``."""
        broker = self.place(record)
        if not isinstance(broker, NatsBroker) or not isinstance(record.source, NatsSource):
            raise TypeError(broker)
        return NatsListener(self._connections, broker, record.id, record.source, self._book)

    def gone(self, trigger_id: str) -> None:
        """See ``BrokerKind``."""
        self._gone.add(trigger_id)
        self._something_gone.set()

    async def clean(self) -> None:
        """Remove the consumers of triggers that are gone, for ever."""
        self._gone = {one for one in self._book.entries() if self._context.store.triggers.get(one) is None}
        while True:
            self._something_gone.clear()
            for trigger_id in list(self._gone):
                entry = self._book.entries().get(trigger_id)
                if entry is None or await self._removed(trigger_id, entry):
                    self._book.forget(trigger_id)
                    self._gone.discard(trigger_id)
            try:
                await asyncio.wait_for(self._something_gone.wait(), _AGAIN_SECONDS if self._gone else None)
            except TimeoutError:
                continue

    async def _removed(self, trigger_id: str, entry: Entry) -> bool:
        """Remove what a trigger left; whether that was possible."""
        if not entry.streams:
            return True
        broker = self._broker_for(entry.account, entry.project, entry.region)
        if isinstance(broker, str) or not has_nats():
            return False
        connection = self._connections.take(broker)
        try:
            client = await connection.client()
            for stream in entry.streams:
                await remove_consumer(client, stream, consumer_name(trigger_id))
        except BrokerTrouble as trouble:
            _logger.info(
                "The consumer of trigger %s, which is gone, is still at its broker: %s", trigger_id, trouble
            )
            return False
        finally:
            await self._connections.give(broker)
        return True
