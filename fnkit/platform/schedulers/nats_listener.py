"""A trigger's ear on NATS (decision 30).

Where a JetStream stream covers the whole subject: a durable pull consumer ``fnkit-<trigger id>``, at least once.
Else a queue subscription, at most once, and the report says so. Which of both is looked up at start, whenever the
broker says that a stream was made or changed, and every 30 s.
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
    """Return the name of a trigger's durable consumer, which is its queue group's too."""
    return f"fnkit-{trigger_id}"


class NatsListener:
    """See the module and ``listening.Listener``."""

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
        self._stream_name = ""  # what is, or was last, listened to

    async def listen(self, intake: Intake, say: Callable[[str], None]) -> None:
        """See ``Listener``."""
        handing_over = asyncio.ensure_future(self._heard.hand_over(intake))
        try:
            while True:
                client = await self._connection.client()
                self._check_rights()
                stream = await self._stream(client)
                if stream is None:
                    await self._hear(client, say)
                    continue
                self._stream_name = stream.name
                taken = await self._consumer(client, stream)
                pull = Pull(self._connection, client, stream.name, self._name, intake, taken_up_to=taken)
                await self._until_it_changes(client, stream, asyncio.ensure_future(pull.run()), say)
        except BrokerTrouble:
            self._check_rights()  # what is not allowed gets no answer, which says less
            raise
        finally:
            handing_over.cancel()

    async def keep(self, messages: Sequence[Message]) -> None:
        """See ``Listener``."""
        for message in messages:
            if isinstance(message, StreamMessage):
                await message.keep()

    async def fates(self, since: Mapping[str, float]) -> Mapping[str, Fate]:
        """See ``Listener``."""
        kept = [one for one in since if is_of_stream(one)]
        found = dict.fromkeys(since.keys() - set(kept), UNKEPT)
        if kept:
            with contextlib.suppress(BrokerTrouble):
                client = await self._connection.client()
                found |= await stream_fates(client, self._name, kept, self._stream_name)
        return found

    async def close(self) -> None:
        """See ``Listener``."""
        await self._connections.give(self._broker)

    async def _stream(self, client: Client) -> Stream | None:
        before = self._connection.refusals
        if not self._connection.may_hear_answers:
            return None
        try:
            return await self._unless_refused(find_stream(client, self._source.subject), before)
        except BrokerTrouble:
            if self._connection.refusals == before:
                raise
            return None

    async def _unless_refused(self, asking: Awaitable[T], refusals: int) -> T:
        """Return JetStream's answer; what we may not ask gets none, so a refusal ends the waiting."""
        task = asyncio.ensure_future(asking)
        refused = asyncio.ensure_future(self._connection.refused.wait())
        try:
            while not task.done():
                refused.cancel()
                refused = asyncio.ensure_future(self._connection.refused.wait())
                self._check_rights()
                if self._connection.refusals > refusals:
                    raise BrokerTrouble("JetStream may not be asked")
                await asyncio.wait((task, refused), return_when=asyncio.FIRST_COMPLETED)
            return task.result()
        finally:
            task.cancel()
            refused.cancel()

    async def _may_pull(self, client: Client) -> bool:
        """Whether the first request for messages got through; a refusal of it raises."""
        from nats.errors import Error

        await asyncio.sleep(0)  # it is on its way now
        try:
            await client.flush(_FLUSH_SECONDS)
        except (Error, TimeoutError):
            return False
        self._check_rights()
        return True

    def _check_rights(self) -> None:
        if denied := self._connection.denied(self._name):
            raise BrokerTrouble(denied)

    async def _hear(self, client: Client, say: Callable[[str], None]) -> None:
        """Hear the subject itself until the connection is lost, or a stream covers it."""
        ear = CoreSubscription(client, self._source.subject, self._name, self._heard)
        try:
            await ear.begin()
            self._check_rights()
            say(f"no stream covers {self._source.subject}: each message is delivered at most once")
            if (stream := await self._covering(client)) is not None:
                ear.hold_back()
                self._book.entry(self._trigger_id, self._source)
                self._book.note(self._trigger_id, stream, await last_sequence(client, stream.name))
                last = await self._consumer(client, stream)
                await end_hearing(client, stream, self._source.subject, last, ear, self._heard)
        finally:
            await ear.end()

    async def _covering(self, client: Client) -> Stream | None:
        """Return the stream that covers the subject as soon as there is one; ``None``: the connection is lost."""
        lost = asyncio.ensure_future(self._connection.lost(client))
        try:
            while not lost.done():
                changed = self._connection.streams_changed  # what is said during the look counts too
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
        """Return when streams changed, one of the others is done, or it is time to look anyway."""

        async def said() -> None:
            await changed.wait()

        waiting = asyncio.ensure_future(said())
        try:
            await asyncio.wait((waiting, *others), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _consumer(self, client: Client, stream: Stream) -> int:
        """Have a consumer; returns the sequence up to which everything was taken."""
        entry = self._book.entry(self._trigger_id, self._source)
        after = entry.floor(stream)
        # Written down first: a consumer that nobody remembers would keep an interest for ever.
        self._book.note(self._trigger_id, stream, after)
        making = ensure_consumer(
            client, stream, self._name, self._source.subject, since=entry.since, after=after or None
        )
        await self._unless_refused(making, self._connection.refusals)
        for former in set(entry.streams) - {stream.name}:
            await remove_consumer(client, former, self._name)
            self._book.forget(self._trigger_id, former)
        return after

    async def _until_it_changes(
        self, client: Client, stream: Stream, hearing: asyncio.Task[None], say: Callable[[str], None]
    ) -> None:
        """Let it hear until the connection is lost, the consumer is gone, or another stream covers the subject."""
        lost, changed = asyncio.ensure_future(self._connection.lost(client)), self._connection.streams_changed
        try:
            if not await self._may_pull(client):
                await asyncio.wait((lost,), timeout=_BRIEFLY)
                return
            say(f"stream {stream.name}: each message is delivered at least once")
            while True:
                await self._news(changed, lost, hearing)
                changed = self._connection.streams_changed
                if lost.done():
                    return
                self._check_rights()
                if hearing.done():
                    # Not at once: what makes it end again and again must not make us spin.
                    await asyncio.sleep(_BRIEFLY)
                    hearing.result()
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
            for task in (lost, hearing):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(lost, hearing, return_exceptions=True)
