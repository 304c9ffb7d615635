"""Records of durable consumers.

A durable consumer without a trigger would make its stream retain messages that are never consumed. So each consumer
is recorded in the store before it is created, and the record is removed after the consumer was deleted, even if the
broker was away in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.events.queues.nats.jetstream import Stream
from fnkit.platform.model.records import NatsSource

_KEY: Final = "nats_consumers"


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
        before = self._records[trigger_id]
        record = msgspec.structs.replace(
            before,
            ack_floors={**before.ack_floors, stream.name: ack_floor},
            streams_created={**before.streams_created, stream.name: stream.created},
        )
        if record != before:
            self._save(trigger_id, record)

    def remove(self, trigger_id: str, stream: str | None = None) -> None:
        """Remove one stream from a trigger's record, or the whole record.

        Args:
            trigger_id: The trigger.
            stream: The stream; ``None`` for the whole record.
        """
        record = self._records.get(trigger_id)
        if record is not None and stream is not None:
            streams = {name: floor for name, floor in record.ack_floors.items() if name != stream}
            self._save(trigger_id, msgspec.structs.replace(record, ack_floors=streams))
        elif record is not None:
            self._save(trigger_id, None)

    def _save(self, trigger_id: str, record: ConsumerRecord | None) -> None:
        records = {**self._records, trigger_id: record}
        kept = {name: kept_record for name, kept_record in records.items() if kept_record is not None}
        with self._store.transaction():
            self._store.key_values.put(_KEY, kept)
        self._records = kept
