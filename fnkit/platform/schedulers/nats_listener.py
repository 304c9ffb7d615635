"""NATS: the broker backend and the message source of its triggers.

If a JetStream stream covers the whole subject, messages are pulled by a durable consumer ``fnkit-<trigger id>`` and
delivered at least once. Otherwise they come from a queue subscription and are delivered at most once, which the
status reports. Streams are looked up at the start, when the broker reports that one was created or changed, and
every 30 s.

When a stream begins to cover a subject, the source switches to it without losing or repeating messages. First the
last sequence of the stream is read; the subscription keeps messages that arrive from then on. Then the consumer is
created after that sequence, and the subscription ends. A kept message that the stream does not contain after that
sequence was stored before it, or while the stream had no consumer to retain it for, and is delivered from memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.records.trigger import NatsSource
from fnkit.platform.schedulers.attempts import SPACING_SECONDS
from fnkit.platform.schedulers.jetstream import (
    ACK_WAIT_SECONDS,
    Stream,
    ack_floor,
    ensure_consumer,
    find_stream,
    last_sequence,
    remove_consumer,
)
from fnkit.platform.schedulers.listening import BrokerTrouble, Fate, Intake, Message
from fnkit.platform.schedulers.nats_connection import NatsConnection, NatsConnections
from fnkit.platform.schedulers.nats_consumers import ConsumerBook
from fnkit.platform.schedulers.nats_core import CoreSubscription, Heard
from fnkit.platform.schedulers.nats_fates import UNKEPT, is_of_stream, stream_fates
from fnkit.platform.schedulers.nats_messages import StreamMessage
from fnkit.platform.schedulers.nats_pull import Pull
from fnkit.platform.schedulers.nats_switching import end_hearing

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["NatsListener", "consumer_name"]

_LOOK_SECONDS: Final = 30.0
_BRIEFLY: Final = 0.2
_FLUSH_SECONDS: Final = 5
T = TypeVar("T")


def consumer_name(trigger_id: str) -> str:
    """Return the name of a trigger's durable consumer, which is also its queue group."""
    return f"fnkit-{trigger_id}"


class NatsListener:
    """The message source of a NATS trigger."""

    kind = "nats"
    pulls_ahead = True
    spacing = SPACING_SECONDS
    keep_every = ACK_WAIT_SECONDS / 3
    redrives = False

    def __init__(
        self,
        connections: NatsConnections,
        broker: NatsBroker,
        trigger_id: str,
        source: NatsSource,
        book: ConsumerBook,
    ) -> None:
        self._connections = connections
        self._broker = broker
        self._connection: NatsConnection = connections.take(broker)
        self._trigger_id = trigger_id
        self._name = consumer_name(trigger_id)
        self._source = source
        self._book = book
        self._heard = Heard(source.subject)
        self._stream_name = ""  # the stream that is, or was last, consumed

    async def listen(self, prefetch: Intake, report: Callable[[str], None]) -> None:
        """Receive messages until cancelled; switch between streams and the queue subscription.

        Args:
            prefetch: Receives the messages.
            report: Called with a description whenever the source of messages changes.

        Raises:
            BrokerError: The broker cannot be reached, or permissions are missing.
        """
        forwarding = asyncio.ensure_future(self._heard.hand_over(prefetch))
        try:
            while True:
                client = await self._connection.client()
                self._check_rights()
                stream = await self._stream(client)
                if stream is None:
                    await self._hear(client, report)
                    continue
                self._stream_name = stream.name
                ack_floor = await self._consumer(client, stream)
                pull = Pull(self._connection, client, stream.name, self._name, prefetch, ack_floor=ack_floor)
                await self._until_it_changes(client, stream, asyncio.ensure_future(pull.run()), report)
        except BrokerTrouble:
            # A request without permission gets no response and ends as a timeout. Report the violation instead.
            self._check_rights()
            raise
        finally:
            forwarding.cancel()

    async def keep(self, messages: Sequence[Message]) -> None:
        """Restart the acknowledgement timeouts of the stream messages."""
        for message in messages:
            if isinstance(message, StreamMessage):
                await message.keep()

    async def fates(self, unheld_since: Mapping[str, float]) -> Mapping[str, Fate]:
        """Look up outcomes of pending deliveries by the acknowledgements of the consumer.

        Messages of streams are left out while the broker cannot be asked; messages that no stream stores are lost.
        """
        stream_ids = [message_id for message_id in unheld_since if is_of_stream(message_id)]
        outcomes = dict.fromkeys(unheld_since.keys() - set(stream_ids), UNKEPT)
        if stream_ids:
            with contextlib.suppress(BrokerTrouble):
                client = await self._connection.client()
                outcomes |= await stream_fates(client, self._name, stream_ids, self._stream_name)
        return outcomes

    async def close(self) -> None:
        """Release the connection."""
        await self._connections.give(self._broker)

    async def _stream(self, client: Client) -> Stream | None:
        """Return the stream that covers the subject; ``None`` also if there is no permission to ask."""
        violations = self._connection.refusals
        if not self._connection.may_hear_answers:
            return None
        try:
            return await self._unless_refused(find_stream(client, self._source.subject), violations)
        except BrokerTrouble:
            if self._connection.refusals == violations:
                raise
            return None

    async def _unless_refused(self, request: Awaitable[T], violations: int) -> T:
        """Return the response to a JetStream request.

        A request without permission gets no response, so a permission violation ends the wait.

        Raises:
            BrokerError: The broker denied permission, or rejected the request.
        """
        task = asyncio.ensure_future(request)
        violation = asyncio.ensure_future(self._connection.refused.wait())
        try:
            while not task.done():
                # Wait on the current event: the connection replaces it each time. Counting violations below catches
                # one that was reported before.
                violation.cancel()
                violation = asyncio.ensure_future(self._connection.refused.wait())
                self._check_rights()
                if self._connection.refusals > violations:
                    raise BrokerTrouble("no permission to use the JetStream API")
                await asyncio.wait((task, violation), return_when=asyncio.FIRST_COMPLETED)
            return task.result()
        finally:
            task.cancel()
            violation.cancel()

    async def _may_pull(self, client: Client) -> bool:
        """Return whether the first pull request reached the broker.

        Raises:
            BrokerError: The broker denied permission.
        """
        from nats.errors import Error

        await asyncio.sleep(0)  # let the task of the consumer publish its request
        try:
            await client.flush(_FLUSH_SECONDS)
        except (Error, TimeoutError):
            return False
        self._check_rights()
        return True

    def _check_rights(self) -> None:
        if message := self._connection.denied(self._name):
            raise BrokerTrouble(message)

    async def _hear(self, client: Client, report: Callable[[str], None]) -> None:
        """Consume through a queue subscription until the connection is lost or a stream covers the subject."""
        subscription = CoreSubscription(client, self._source.subject, self._name, self._heard)
        try:
            await subscription.begin()
            self._check_rights()
            report(f"no stream covers {self._source.subject}: each message is delivered at most once")
            if (stream := await self._covering(client)) is not None:
                subscription.hold_back()
                self._book.entry(self._trigger_id, self._source)
                # The consumer is created after the floor that is recorded here.
                self._book.note(self._trigger_id, stream, await last_sequence(client, stream.name))
                after = await self._consumer(client, stream)
                await end_hearing(client, stream, self._source.subject, after, subscription, self._heard)
        finally:
            await subscription.end()

    async def _covering(self, client: Client) -> Stream | None:
        """Return the stream that covers the subject as soon as there is one; ``None`` if the connection is lost."""
        lost = asyncio.ensure_future(self._connection.lost(client))
        try:
            while not lost.done():
                changed = self._connection.streams_changed  # taken first, so that a change during the lookup counts
                self._check_rights()
                if (stream := await self._stream(client)) is not None:
                    return stream
                await self._news(changed, lost)
        except BrokerTrouble:
            if not lost.done():
                raise
        finally:
            lost.cancel()
        return None

    async def _news(self, changed: asyncio.Event, *others: asyncio.Future[None]) -> None:
        """Return when streams may have changed, one of the other futures is done, or the poll interval is over."""

        async def wait_changed() -> None:
            await changed.wait()

        waiting = asyncio.ensure_future(wait_changed())
        try:
            await asyncio.wait((waiting, *others), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _consumer(self, client: Client, stream: Stream) -> int:
        """Create the consumer if needed, and return the sequence up to which everything was acknowledged."""
        record = self._book.entry(self._trigger_id, self._source)
        after = record.floor(stream)
        # Recorded before it is created: an unrecorded consumer would make its stream retain messages forever.
        self._book.note(self._trigger_id, stream, after)
        creation = ensure_consumer(
            client, stream, self._name, self._source.subject, since=record.since, after=after or None
        )
        await self._unless_refused(creation, self._connection.refusals)
        for former in set(record.streams) - {stream.name}:
            await remove_consumer(client, former, self._name)
            self._book.forget(self._trigger_id, former)
        return after

    async def _until_it_changes(
        self, client: Client, stream: Stream, pulling: asyncio.Task[None], report: Callable[[str], None]
    ) -> None:
        """Let the task pull messages until the connection is lost, the consumer is gone, or the stream changes."""
        lost, changed = asyncio.ensure_future(self._connection.lost(client)), self._connection.streams_changed
        try:
            if not await self._may_pull(client):
                await asyncio.wait((lost,), timeout=_BRIEFLY)
                return
            report(f"stream {stream.name}: each message is delivered at least once")
            while True:
                await self._news(changed, lost, pulling)
                changed = self._connection.streams_changed
                if lost.done():
                    return
                self._check_rights()
                if pulling.done():
                    # The delay prevents a busy loop if the cause persists.
                    await asyncio.sleep(_BRIEFLY)
                    pulling.result()
                    return
                if await self._stream(client) != stream:
                    return
                floor = await ack_floor(client, stream.name, self._name)
                if floor is None:
                    return
                self._book.note(self._trigger_id, stream, floor)
        except BrokerTrouble:
            if not lost.done():
                raise
        finally:
            for task in (lost, pulling):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(lost, pulling, return_exceptions=True)
