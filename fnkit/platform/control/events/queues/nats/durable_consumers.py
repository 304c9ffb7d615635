"""Records of durable consumers, and the outcomes of stream messages that no process holds any more.

A durable consumer without a trigger would make its stream retain messages that are never consumed. So each consumer
is recorded in the store before it is created, and the record is removed after the consumer was deleted, even if the
broker was away in between.

Outcomes are derived from the acknowledgement floor of the consumer. Only this platform acknowledges, and only
messages that were handled or that the log stores as dead. So a message below the floor was handled, unless the
stream deleted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.events.queues.interface import BrokerOutcome
from fnkit.platform.control.events.queues.nats.jetstream import ConsumerProgress, Stream, get_progress
from fnkit.platform.model.delivery import DeliveryStatus
from fnkit.platform.model.records import NatsSource

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["NOT_STORED", "ConsumerRecord", "ConsumerRegistry", "is_stream_message_id", "lookup_stream_outcomes"]

NOT_STORED: Final = BrokerOutcome(
    DeliveryStatus.FAILED,
    "the platform stopped before the function responded, and no stream has the message; the function may have run",
)
"""Outcome of a message that no stream stores, and that was in flight in a process that ended."""
_ACKNOWLEDGED: Final = BrokerOutcome(
    DeliveryStatus.SUCCEEDED,
    "acknowledged after a successful response, which was not recorded before the platform stopped",
)
_DELETED_BY_STREAM: Final = BrokerOutcome(
    DeliveryStatus.UNKNOWN,
    "the stream deleted the message before it was acknowledged; the function may have run",
)

_KEY: Final = "nats_consumers"


def is_stream_message_id(message_id: str) -> bool:
    """Return whether the id is that of a ``StreamMessage``."""
    return ":" in message_id


async def lookup_stream_outcomes(
    client: Client, consumer: str, ids: Iterable[str], current_stream: str
) -> dict[str, BrokerOutcome]:
    """Return the known outcomes of messages of streams. Messages that may still be delivered are missing.

    Args:
        client: The session.
        consumer: Name of the consumer, which is the same in each stream.
        ids: The ids of the messages.
        current_stream: The stream in which the consumer exists or is about to be created again.

    Raises:
        BrokerError: The broker rejects the request.
    """
    by_stream: dict[str, list[tuple[str, int, int]]] = {}
    for message_id in ids:
        stream, sequence, stored_at_ns = message_id.rsplit(":", 2)
        by_stream.setdefault(stream, []).append((message_id, int(sequence), int(stored_at_ns)))
    outcomes: dict[str, BrokerOutcome] = {}
    for stream, messages in by_stream.items():
        consumer_progress = await get_progress(client, stream, consumer)
        for message_id, sequence_number, stored_ns in messages:
            if outcome := _outcome(
                consumer_progress, sequence_number, stored_ns, is_current=stream == current_stream
            ):
                outcomes[message_id] = outcome
    return outcomes


def _outcome(
    progress: ConsumerProgress | None, sequence: int, stored_at_ns: int, *, is_current: bool
) -> BrokerOutcome | None:
    """Return the outcome of one message, or ``None`` if it may still be delivered.

    Args:
        progress: Progress of its consumer, or ``None`` if the stream does not exist.
        sequence: Its sequence in the stream.
        stored_at_ns: When the stream stored it, in Unix nanoseconds.
        is_current: Whether the stream is the one that is being consumed.
    """
    if (
        progress is None or stored_at_ns // 1000 < progress.stream_created_us
    ):  # the stream was deleted and created again
        return _DELETED_BY_STREAM
    if progress.ack_floor is None:
        return None if is_current else _DELETED_BY_STREAM
    if sequence > progress.ack_floor:
        return None
    return (
        _DELETED_BY_STREAM if progress.keeps_acknowledged and sequence < progress.first_sequence else _ACKNOWLEDGED
    )


class ConsumerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The consumers of one trigger.

    Attributes:
        account: NATS account of the trigger, with ``project`` and ``region`` to find its broker.
        project: Project of the trigger.
        region: Region of the trigger.
        start_time: Real time (RFC 3339) from which messages are delivered.
        ack_floors: Streams that have or had a consumer, each with the sequence up to which everything was
            acknowledged when last checked; 0 if unknown.
        streams_created: Creation times of these streams as reported by their broker. A stream that was deleted and
            created again starts again at sequence 1.
    """

    account: str
    project: str
    region: str
    start_time: str
    ack_floors: Mapping[str, int] = {}
    streams_created: Mapping[str, str] = {}

    def ack_floor(self, stream: Stream) -> int:
        """Return the sequence up to which the stream's messages were acknowledged; 0 if unknown."""
        is_same_stream = self.streams_created.get(stream.name, stream.created) == stream.created
        return self.ack_floors.get(stream.name, 0) if is_same_stream else 0


class ConsumerRegistry:
    """All records, by trigger id, kept in memory and in the store."""

    def __init__(self, context: ControlContext) -> None:
        self._store = context.store
        self._records = self._store.key_values.get(_KEY, dict[str, ConsumerRecord]) or {}

    def all(self) -> dict[str, ConsumerRecord]:
        """Return all records, by trigger id."""
        return dict(self._records)

    def get_or_create(self, trigger_id: str, source: NatsSource) -> ConsumerRecord:
        """Return a trigger's record. A new one makes messages count from now on."""
        record = self._records.get(trigger_id)
        if record is None:
            record = ConsumerRecord(
                account=source.account_id,
                project=source.project_id,
                region=source.region,
                start_time=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            )
            self._save(trigger_id, record)
        return record

    def record(self, trigger_id: str, stream: Stream, ack_floor: int) -> None:
        """Record that a trigger has a consumer on a stream, and its acknowledgement floor."""
        record = self._records[trigger_id]
        if (record.ack_floors.get(stream.name), record.streams_created.get(stream.name)) != (
            ack_floor,
            stream.created,
        ):
            streams = {**record.ack_floors, stream.name: ack_floor}
            made = {**record.streams_created, stream.name: stream.created}
            self._save(trigger_id, msgspec.structs.replace(record, ack_floors=streams, streams_created=made))

    def remove(self, trigger_id: str, stream: str | None = None) -> None:
        """Remove one stream from a trigger's record, or the whole record.

        Args:
            trigger_id: The trigger.
            stream: The stream; ``None`` for the whole record.
        """
        record = self._records.get(trigger_id)
        if record is None:
            return
        streams = {
            name: floor for name, floor in record.ack_floors.items() if stream is not None and name != stream
        }
        if stream is None:
            self._save(trigger_id, None)
        else:
            self._save(trigger_id, msgspec.structs.replace(record, ack_floors=streams))

    def _save(self, trigger_id: str, record: ConsumerRecord | None) -> None:
        records = {**self._records, trigger_id: record}
        kept = {name: kept_record for name, kept_record in records.items() if kept_record is not None}
        with self._store.transaction():
            self._store.key_values.put(_KEY, kept)
        self._records = kept
