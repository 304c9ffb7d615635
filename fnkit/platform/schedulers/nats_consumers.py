"""Records of durable consumers, and the outcomes of stream messages that no process holds any more.

A durable consumer without a trigger would make its stream retain messages that are never consumed. So each consumer
is recorded in the store before it is created, and the record is removed after the consumer was deleted, even if the
broker was away in between.

Outcomes are derived from the acknowledgement floor of the consumer. Only this platform acknowledges, and only
messages that were handled or that the log stores as dead. So a message below the floor was handled, unless the
stream deleted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.records.trigger import NatsSource
from fnkit.platform.schedulers.jetstream import Stream

__all__ = ["ConsumerBook", "Entry"]

_FACT: Final = "nats_consumers"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
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
    since: str
    streams: Mapping[str, int] = {}
    made: Mapping[str, str] = {}

    def floor(self, stream: Stream) -> int:
        """Return the sequence up to which the stream's messages were acknowledged; 0 if unknown."""
        is_same_stream = self.made.get(stream.name, stream.created) == stream.created
        return self.streams.get(stream.name, 0) if is_same_stream else 0


class ConsumerBook:
    """All records, by trigger id, kept in memory and in the store."""

    def __init__(self, context: ControlContext) -> None:
        self._store = context.store
        self._entries = self._store.facts.get(_FACT, dict[str, Entry]) or {}

    def entries(self) -> dict[str, Entry]:
        """Return all records, by trigger id."""
        return dict(self._entries)

    def entry(self, trigger_id: str, source: NatsSource) -> Entry:
        """Return a trigger's record. A new one makes messages count from now on."""
        record = self._entries.get(trigger_id)
        if record is None:
            record = Entry(
                account=source.account_id,
                project=source.project_id,
                region=source.region,
                since=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            )
            self._write(trigger_id, record)
        return record

    def note(self, trigger_id: str, stream: Stream, floor: int) -> None:
        """Record that a trigger has a consumer on a stream, and its acknowledgement floor."""
        record = self._entries[trigger_id]
        if (record.streams.get(stream.name), record.made.get(stream.name)) != (floor, stream.created):
            streams = {**record.streams, stream.name: floor}
            made = {**record.made, stream.name: stream.created}
            self._write(trigger_id, msgspec.structs.replace(record, streams=streams, made=made))

    def forget(self, trigger_id: str, stream: str | None = None) -> None:
        """Remove one stream from a trigger's record, or the whole record.

        Args:
            trigger_id: The trigger.
            stream: The stream; ``None`` for the whole record.
        """
        record = self._entries.get(trigger_id)
        if record is None:
            return
        streams = {name: floor for name, floor in record.streams.items() if stream is not None and name != stream}
        if stream is None:
            self._write(trigger_id, None)
        else:
            self._write(trigger_id, msgspec.structs.replace(record, streams=streams))

    def _write(self, trigger_id: str, record: Entry | None) -> None:
        records = {**self._entries, trigger_id: record}
        kept = {name: kept_record for name, kept_record in records.items() if kept_record is not None}
        with self._store.transaction():
            self._store.facts.put(_FACT, kept)
        self._entries = kept
