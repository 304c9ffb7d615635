"""NATS: the broker backend and the message source of its triggers.

If a JetStream stream covers the whole subject, messages are pulled by a durable consumer ``fnkit-<trigger id>`` and
delivered at least once. Otherwise they come from a queue subscription and are delivered at most once, which the
status reports. Streams are looked up at the start, when the broker reports that one was created or changed, and
every 30 s.

When a stream begins to cover a subject, the consumer is created, then the subscription ends. Messages that the
stream stored while the subscription still existed are recognised when the stream delivers them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fnkit.contract.deliveries import SentMessage
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.errors import invalid
from fnkit.platform.control.events.queues.interface import BrokerError, Message, Prefetch, missing_extra
from fnkit.platform.control.events.queues.nats import jetstream
from fnkit.platform.control.events.queues.nats.connection import NatsConnection, NatsConnections
from fnkit.platform.control.events.queues.nats.core import BoundedBuffer, CoreSubscription, Overlap
from fnkit.platform.control.events.queues.nats.durable_consumers import ConsumerRecord, ConsumerRegistry
from fnkit.platform.control.events.queues.retries import RETRY_DELAY_SECONDS
from fnkit.platform.model.records import NatsSource, TriggerRecord

if TYPE_CHECKING:
    from nats.aio.client import Client

_POLL_INTERVAL: Final = 30.0  # between two checks of the streams, if the broker reports no change
_BACKOFF: Final = 0.2
_FLUSH_TIMEOUT: Final = 5
_CLEANUP_RETRY_INTERVAL: Final = 10.0

_logger = logging.getLogger(__name__)
T = TypeVar("T")


def consumer_name(trigger_id: str) -> str:
    """Return the name of a trigger's durable consumer, which is also its queue group."""
    return f"fnkit-{trigger_id}"


class NatsMessageSource:
    """The message source of a NATS trigger."""

    kind = "nats"
    can_prefetch = True
    retry_delay = RETRY_DELAY_SECONDS
    lease_interval = jetstream.ACK_WAIT_SECONDS / 3
    has_redrive_policy = False

    def __init__(
        self,
        connections: NatsConnections,
        broker: NatsBroker,
        trigger_id: str,
        source: NatsSource,
        registry: ConsumerRegistry,
    ) -> None:
        self._connections = connections
        self._broker = broker
        self._connection: NatsConnection = connections.acquire(broker)
        self._trigger_id = trigger_id
        self._consumer_name = consumer_name(trigger_id)
        self._source = source
        self._registry = registry
        self._buffer = BoundedBuffer(source.subject)
        self._overlap: tuple[jetstream.Stream, Overlap] | None = None

    async def listen(self, prefetch: Prefetch, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled; switch between streams and the queue subscription.

        Args:
            prefetch: Receives the messages.
            report: Called with a description whenever the source of messages changes.

        Raises:
            BrokerError: The broker cannot be reached, or permissions are missing.
        """
        forwarding = asyncio.ensure_future(self._buffer.forward_to(prefetch))
        try:
            while True:
                client = await self._connection.wait_for_client()
                self._check_permissions()
                stream = await self._find_stream(client)
                if stream is None:
                    await self._subscribe_core(client, report)
                    continue
                ack_floor = await self._ensure_consumer(client, stream)
                pull = jetstream.PullConsumer(
                    self._connection,
                    client,
                    stream.name,
                    self._consumer_name,
                    prefetch,
                    ack_floor=ack_floor,
                    overlap=self._overlap[1] if self._overlap and self._overlap[0] == stream else None,
                )
                await self._pull_until_change(client, stream, asyncio.ensure_future(pull.run()), report)
        except BrokerError:
            # A request without permission gets no response and ends as a timeout. Report the violation instead.
            self._check_permissions()
            raise
        finally:
            forwarding.cancel()

    async def extend(self, messages: Sequence[Message]) -> None:
        """Restart the acknowledgement timeouts of the stream messages."""
        for message in messages:
            if isinstance(message, jetstream.StreamMessage):
                await message.extend()

    async def close(self) -> None:
        """Release the connection."""
        await self._connections.release(self._broker)

    async def _find_stream(self, client: Client) -> jetstream.Stream | None:
        """Return the stream that covers the subject; ``None`` also if there is no permission to ask."""
        violations = self._connection.violations
        if not self._connection.can_receive_replies:
            return None
        try:
            return await self._unless_denied(jetstream.find_stream(client, self._source.subject), violations)
        except BrokerError:
            if self._connection.violations == violations:
                raise
            return None

    async def _unless_denied(self, request: Awaitable[T], violations: int) -> T:
        """Return the response to a JetStream request.

        A request without permission gets no response, so a permission violation ends the wait.

        Raises:
            BrokerError: The broker denied permission, or rejected the request.
        """
        task = asyncio.ensure_future(request)
        try:
            while not task.done():
                # Taken first: the connection replaces it each time. Counting violations catches one before that.
                violation_seen = self._connection.violation_seen
                self._check_permissions()
                if self._connection.violations > violations:
                    raise BrokerError("no permission to use the JetStream API")
                await _wait_for_event(violation_seen, task)
            return task.result()
        finally:
            task.cancel()

    async def _can_pull(self, client: Client) -> bool:
        """Return whether the first pull request reached the broker.

        Raises:
            BrokerError: The broker denied permission.
        """
        from nats.errors import Error

        await asyncio.sleep(0)  # let the task of the consumer publish its request
        try:
            await client.flush(_FLUSH_TIMEOUT)
        except (Error, TimeoutError):
            return False
        self._check_permissions()
        return True

    def _check_permissions(self) -> None:
        if message := self._connection.permission_error(self._consumer_name):
            raise BrokerError(message)

    async def _subscribe_core(self, client: Client, report: Callable[[str], None]) -> None:
        """Consume through a queue subscription until the connection is lost or a stream covers the subject."""
        subscription = CoreSubscription(client, self._source.subject, self._consumer_name, self._buffer)
        try:
            await subscription.start()
            self._check_permissions()
            report(f"no stream covers {self._source.subject}: each message is delivered at most once")
            if (stream := await self._wait_for_stream(client, subscription)) is not None:
                # Created first: a stream with interest retention stores messages for existing consumers only.
                await self._ensure_consumer(client, stream)
                self._overlap = stream, await self._end_subscription(client, stream, subscription)
        finally:
            await subscription.stop()

    async def _end_subscription(
        self, client: Client, stream: jetstream.Stream, subscription: CoreSubscription
    ) -> Overlap:
        """Drain the subscription, and return which of its messages the stream may deliver as well."""
        received = subscription.received
        stored_from = received.count
        last_received = await jetstream.get_last_sequence(client, stream.name)
        read_at = received.count
        await subscription.drain()
        return received.overlap(
            stored_from, read_at, (last_received, await jetstream.get_last_sequence(client, stream.name))
        )

    async def _wait_for_stream(self, client: Client, subscription: CoreSubscription) -> jetstream.Stream | None:
        """Return the stream that covers the subject as soon as there is one; ``None`` if the connection is lost."""
        lost = asyncio.ensure_future(self._connection.wait_until_lost(client))
        try:
            while not lost.done():
                changed = self._connection.streams_changed  # taken first, so that a change during the lookup counts
                received_before = subscription.received.count
                self._check_permissions()
                if (stream := await self._find_stream(client)) is not None:
                    return stream
                subscription.received.forget_first(received_before)
                await _wait_for_event(changed, lost, timeout_seconds=_POLL_INTERVAL)
        except BrokerError:
            if not lost.done():
                raise
        finally:
            lost.cancel()
        return None

    async def _watch_permissions(self) -> None:
        """Wait until the broker denies this consumer something.

        Raises:
            BrokerError: It did.
        """
        while True:
            self._check_permissions()
            await self._connection.violation_seen.wait()

    async def _ensure_consumer(self, client: Client, stream: jetstream.Stream) -> int:
        """Create the consumer if needed, and return the sequence up to which everything was acknowledged."""
        record = self._registry.get_or_create(self._trigger_id, self._source)
        after = record.ack_floor(stream)
        # Recorded before it is created: an unrecorded consumer would make its stream retain messages forever.
        self._registry.record(self._trigger_id, stream, after)
        creation = jetstream.ensure_consumer(
            client, stream, self._consumer_name, self._source.subject, since=record.start_time, after=after or None
        )
        await self._unless_denied(creation, self._connection.violations)
        for former in set(record.ack_floors) - {stream.name}:
            await jetstream.remove_consumer(client, former, self._consumer_name)
            self._registry.remove(self._trigger_id, former)
        return after

    async def _pull_until_change(
        self, client: Client, stream: jetstream.Stream, pulling: asyncio.Task[None], report: Callable[[str], None]
    ) -> None:
        """Let the task pull messages until the connection is lost, the consumer is gone, or the stream changes."""
        changed = self._connection.streams_changed
        lost = asyncio.ensure_future(self._connection.wait_until_lost(client))
        tasks = [lost, pulling]
        try:
            if not await self._can_pull(client):
                await asyncio.wait((lost,), timeout=_BACKOFF)
                return
            report(f"stream {stream.name}: each message is delivered at least once")
            # A later request may be denied, and the first one after the flush.
            denied = asyncio.ensure_future(self._watch_permissions())
            tasks.append(denied)
            while True:
                await _wait_for_event(changed, *tasks, timeout_seconds=_POLL_INTERVAL)
                changed = self._connection.streams_changed
                if lost.done():
                    return
                if denied.done():
                    denied.result()
                if pulling.done():
                    # The delay prevents a busy loop if the cause persists.
                    await asyncio.sleep(_BACKOFF)
                    pulling.result()
                    return
                if not await self._is_unchanged(client, stream):
                    return
        except BrokerError:
            if not lost.done():
                raise
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_unchanged(self, client: Client, stream: jetstream.Stream) -> bool:
        """Return whether stream and consumer still exist. Record what was acknowledged."""
        if await self._find_stream(client) != stream:
            return False
        floor = await jetstream.get_ack_floor(client, stream.name, self._consumer_name)
        if floor is not None:
            self._registry.record(self._trigger_id, stream, floor)
        return floor is not None


async def _wait_for_event(
    event: asyncio.Event, *others: asyncio.Future[Any], timeout_seconds: float | None = None
) -> None:
    """Return when the event is set, one of the futures is done, or the time is over."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((waiting, *others), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _publishing_subject(pattern: str, subject: str | None) -> str:
    """Return the subject to publish on.

    Raises:
        ControlError: 400.
    """
    wanted = subject or pattern
    tokens = wanted.split(".")
    if subject is None and not {"*", ">"}.isdisjoint(tokens):
        raise invalid("subject", f"is required, because that of the trigger, {pattern}, has wildcards")
    if "" in tokens or not {"*", ">"}.isdisjoint(tokens) or any(one.isspace() for one in wanted):
        raise invalid("subject", f"{wanted!r} is not a subject to publish on")
    if not jetstream.subject_matches([pattern], wanted):
        raise invalid("subject", f"{wanted} is not covered by that of the trigger, {pattern}")
    return wanted


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

    def endpoint(self, record: TriggerRecord) -> NatsBroker | str:
        """Return the broker of a trigger, or the reason why it has none.

        The subject of a trigger never changes, so only its broker can.
        """
        if not isinstance(record.source, NatsSource):
            raise TypeError(record.source)
        source = record.source
        # Messages count from the creation of the record, so create it even if the broker is not available yet.
        self._registry.get_or_create(record.id, source)
        return missing_extra("NATS", "nats") or self._broker_for(
            source.account_id, source.project_id, source.region
        )

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

    async def send(self, record: TriggerRecord, body: bytes, subject: str | None) -> SentMessage:
        """Publish a message on the trigger's subject, or on one that it covers.

        Raises:
            BrokerError: The broker cannot be reached, or does not take the message.
            ControlError: 400: the subject is missing, invalid, or not covered.
        """
        broker = self.endpoint(record)
        if isinstance(broker, str) or not isinstance(record.source, NatsSource):
            raise TypeError(broker)
        address = _publishing_subject(record.source.subject, subject)
        connection = self._connections.acquire(broker)
        try:
            client = await connection.wait_for_client()
            stream = await jetstream.find_stream(client, address) if connection.can_receive_replies else None
            name, sequence = await jetstream.publish(client, stream, address, body)
        finally:
            await self._connections.release(broker)
        return SentMessage(kind="nats", address=address, stream=name, message_id=str(sequence) if name else "")

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
        if isinstance(broker, str) or missing_extra("NATS", "nats"):
            return False
        connection = self._connections.acquire(broker)
        try:
            client = await connection.wait_for_client()
            for stream in record.ack_floors:
                await jetstream.remove_consumer(client, stream, consumer_name(trigger_id))
        except BrokerError as error:
            _logger.info("The consumers of deleted trigger %s are not removed yet: %s", trigger_id, error)
            return False
        finally:
            await self._connections.release(broker)
        return True
