"""SQS: the broker backend and the message source of its triggers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from fnkit.contract.deliveries import SentMessage
from fnkit.errors import PlatformError
from fnkit.platform.brokers.model import SqsBroker
from fnkit.platform.control.errors import invalid
from fnkit.platform.control.events.queues.interface import Message, Prefetch, missing_extra
from fnkit.platform.control.events.queues.retries import MAX_ATTEMPTS
from fnkit.platform.control.events.queues.sqs.client import SqsClients
from fnkit.platform.control.events.queues.sqs.endpoint import SqsEndpoint, endpoint_at_broker, endpoint_of_source
from fnkit.platform.control.events.queues.sqs.errors import SqsUnavailable
from fnkit.platform.control.events.queues.sqs.poller import FifoOrdering, Poller, SqsMessage
from fnkit.platform.control.events.queues.sqs.queue import SqsQueue
from fnkit.platform.model.records import QueueSource, SqsSource, TriggerRecord

_REFRESH_INTERVAL: Final = 30.0
_INITIAL_LEASE_INTERVAL: Final = 1.0  # until the visibility timeout of the queue is known


class SqsMessageSource:
    """The message source of an SQS trigger."""

    kind = "sqs"
    can_prefetch = False

    def __init__(self, clients: SqsClients, endpoint: SqsEndpoint) -> None:
        self._clients = clients
        self._endpoint = endpoint
        self._queue = SqsQueue(clients.acquire(endpoint.config), endpoint)
        self._ordering: FifoOrdering | None = None
        self._apply_attributes()
        self.lease_interval = _INITIAL_LEASE_INTERVAL

    async def listen(self, prefetch: Prefetch, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled.

        Args:
            prefetch: Receives the messages.
            report: Called with a description of the queue, also when its attributes have changed.

        Raises:
            BrokerError: The queue cannot be reached, or rejects a request.
        """
        queue = self._queue
        await queue.open()
        self._apply_attributes()
        report(self._describe())
        ordering = self._ordering = self._ordering or FifoOrdering(prefetch.put)
        polling = asyncio.ensure_future(Poller(queue, prefetch, ordering).run())
        try:
            while True:
                done, _ = await asyncio.wait((polling,), timeout=_REFRESH_INTERVAL)
                if done:
                    return polling.result()
                with contextlib.suppress(SqsUnavailable):
                    await queue.refresh_attributes()
                self._apply_attributes()
                report(self._describe())
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    async def extend(self, messages: Sequence[Message]) -> None:
        """Extend the visibility timeouts of messages in flight, and of those that wait for their message group."""
        buffered = [] if self._ordering is None else self._ordering.buffered
        held = [one for one in (*messages, *buffered) if isinstance(one, SqsMessage) and one.is_held]
        await self._queue.extend_visibility([one.receipt_handle for one in held])

    async def close(self) -> None:
        """Finish the deletions under way and release the client."""
        await self._queue.close()
        self._clients.release(self._endpoint.config)

    def _apply_attributes(self) -> None:
        """Apply the attributes of the queue. Attempts are a visibility timeout apart, as recorded from Scaleway."""
        attributes = self._queue.attributes
        self.retry_delay = float(attributes.visibility_timeout)
        self.lease_interval = attributes.lease_interval
        self.has_redrive_policy = bool(attributes.max_receive_count)

    def _describe(self) -> str:
        attributes = self._queue.attributes
        order = ", ordered by message group" if attributes.is_fifo else ""
        if not self._queue.can_read_attributes:
            retries = (
                "no permission to read its attributes, assuming no redrive policy: "
                f"dead after {MAX_ATTEMPTS} attempts"
            )
        elif attributes.max_receive_count:
            retries = f"its redrive policy applies after {attributes.max_receive_count} failed attempts"
        else:
            retries = f"dead after {MAX_ATTEMPTS} attempts, {attributes.visibility_timeout} s apart"
        return f"queue {self._endpoint.queue} at {self._endpoint.config.host}{order}; {retries}"


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

    def endpoint(self, record: TriggerRecord) -> SqsEndpoint | str:
        """Return the endpoint of a trigger's queue, or the reason why it has none."""
        if reason := missing_extra("SQS", "botocore"):
            return reason
        match record.source:
            case SqsSource() as source:
                try:
                    secret_key = self._secret_key(record)
                except PlatformError as error:
                    return f"{error.message} Set it again."
                return endpoint_of_source(source, secret_key, record.region)
            case QueueSource() as source:
                broker = self._broker_for(source.project_id, source.region)
                return broker if isinstance(broker, str) else endpoint_at_broker(source, broker)
            case other:
                raise TypeError(other)

    async def send(self, record: TriggerRecord, body: bytes, subject: str | None) -> SentMessage:
        """Send a message to the trigger's queue.

        Raises:
            BrokerError: The queue cannot be reached, or rejects the message.
            ControlError: 400: the message is not text, or there is a subject.
        """
        if subject is not None:
            raise invalid("subject", "is for NATS triggers; this one receives from an SQS queue")
        endpoint = self.endpoint(record)
        if isinstance(endpoint, str):
            raise TypeError(endpoint)
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise invalid("body", "is not UTF-8, and messages of SQS are text") from None
        queue = SqsQueue(self._clients.acquire(endpoint.config), endpoint)
        try:
            message_id = await queue.send(text)
        finally:
            self._clients.release(endpoint.config)
        return SentMessage(kind="sqs", address=endpoint.queue, message_id=message_id)

    def create_source(self, record: TriggerRecord) -> SqsMessageSource:
        """Create the message source of a trigger."""
        endpoint = self.endpoint(record)
        if isinstance(endpoint, str):
            raise TypeError(endpoint)
        return SqsMessageSource(self._clients, endpoint)
