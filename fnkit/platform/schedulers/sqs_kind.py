"""SQS as a broker backend: the endpoints of its triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fnkit.platform.brokers.model import SqsBroker
from fnkit.platform.records.trigger import QueueSource, SqsSource, TriggerRecord
from fnkit.platform.schedulers.sqs_client import SqsClients, is_botocore_installed
from fnkit.platform.schedulers.sqs_listener import SqsMessageSource
from fnkit.platform.schedulers.sqs_places import SqsEndpoint, endpoint_of_source, endpoint_at_broker

__all__ = ["SqsBackend"]

_NOT_INSTALLED: Final = "SQS needs fnkit[queues]: pip install 'fnkit[queues]', then start the platform again"


class SqsBackend:
    """The backend of SQS triggers."""

    def __init__(
        self, broker_for: Callable[[str, str], SqsBroker | str], secret_key: Callable[[TriggerRecord], str]
    ) -> None:
        """Create the backend.

        Args:
            broker_for: Returns the service of a project and a region, or the reason why there is none.
            secret_key: Returns the secret key of a trigger that has its own.
        """
        self._broker_for = broker_for
        self._secret_key = secret_key
        self._clients = SqsClients()

    def handles(self, record: TriggerRecord) -> bool:
        """Return whether the trigger's source is SQS."""
        return isinstance(record.source, QueueSource | SqsSource)

    def endpoint(self, record: TriggerRecord) -> SqsEndpoint | str:
        """Return the endpoint of a trigger's queue, or the reason why it has none."""
        if not is_botocore_installed():
            return _NOT_INSTALLED
        match record.source:
            case SqsSource() as source:
                return endpoint_of_source(source, self._secret_key(record), record.region)
            case QueueSource() as source:
                broker = self._broker_for(source.project_id, source.region)
                return broker if isinstance(broker, str) else endpoint_at_broker(source, broker)
            case other:
                raise TypeError(other)

    def create_source(self, record: TriggerRecord) -> SqsMessageSource:
        """Create the message source of a trigger."""
        endpoint = self.endpoint(record)
        if isinstance(endpoint, str):
            raise TypeError(endpoint)
        return SqsMessageSource(self._clients, endpoint)

    def on_deleted(self, trigger_id: str) -> None:
        """Do nothing: a queue stores nothing about its consumers."""
