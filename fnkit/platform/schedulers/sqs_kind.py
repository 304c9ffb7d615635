"""SQS as a kind of broker: where its triggers listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fnkit.platform.brokers.model import SqsBroker
from fnkit.platform.records.trigger import QueueSource, SqsSource, TriggerRecord
from fnkit.platform.schedulers.sqs_client import SqsClients, has_botocore
from fnkit.platform.schedulers.sqs_listener import SqsListener
from fnkit.platform.schedulers.sqs_places import SqsPlace, place_anywhere, place_at_broker

__all__ = ["SqsKind"]

_NOT_INSTALLED: Final = "SQS needs fnkit[queues]: pip install 'fnkit[queues]', then start the platform again"


class SqsKind:
    """See ``queues.BrokerKind``.

    broker_for: the service of a project and region, or why there is none. secret_key: of a trigger with its own.
    """

    def __init__(
        self, broker_for: Callable[[str, str], SqsBroker | str], secret_key: Callable[[TriggerRecord], str]
    ) -> None:
        self._broker_for = broker_for
        self._secret_key = secret_key
        self._clients = SqsClients()

    def covers(self, record: TriggerRecord) -> bool:
        """See ``BrokerKind``."""
        return isinstance(record.source, QueueSource | SqsSource)

    def place(self, record: TriggerRecord) -> SqsPlace | str:
        """See ``BrokerKind``."""
        if not has_botocore():
            return _NOT_INSTALLED
        match record.source:
            case SqsSource() as source:
                return place_anywhere(source, self._secret_key(record), record.region)
            case QueueSource() as source:
                broker = self._broker_for(source.project_id, source.region)
                return broker if isinstance(broker, str) else place_at_broker(source, broker)
            case other:
                raise TypeError(other)

    def listener(self, record: TriggerRecord) -> SqsListener:
        """See ``BrokerKind``."""
        place = self.place(record)
        if isinstance(place, str):
            raise TypeError(place)
        return SqsListener(self._clients, place)

    def gone(self, trigger_id: str) -> None:
        """See ``BrokerKind``. A queue knows nothing of who listened to it."""
