"""Which durable consumers triggers made, so that none outlives its trigger, also where its broker was away then.

A consumer without a trigger would make its stream keep messages for nobody. The book is a fact in the store,
written before a consumer is made, and struck out after it was removed.
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
    """One trigger. since: real time from which messages count, RFC 3339.

    streams: where it has, or had, a consumer, each with the sequence up to which everything was acknowledged when
    it was last looked at (0: nothing known). made: when those streams were made, as their broker says it: one that
    was deleted and made again counts from 1 again.
    """

    account: str
    project: str
    region: str
    since: str
    streams: Mapping[str, int] = {}
    made: Mapping[str, str] = {}

    def floor(self, stream: Stream) -> int:
        """The sequence up to which everything was taken from that stream; 0: nothing known."""
        same = self.made.get(stream.name, stream.created) == stream.created
        return self.streams.get(stream.name, 0) if same else 0


class ConsumerBook:
    """All entries."""

    def __init__(self, context: ControlContext) -> None:
        self._store = context.store
        self._entries = self._store.facts.get(_FACT, dict[str, Entry]) or {}

    def entries(self) -> dict[str, Entry]:
        """Return them by trigger."""
        return dict(self._entries)

    def entry(self, trigger_id: str, source: NatsSource) -> Entry:
        """Return a trigger's; it begins now where it has none."""
        found = self._entries.get(trigger_id)
        if found is None:
            found = Entry(
                account=source.account_id,
                project=source.project_id,
                region=source.region,
                since=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            )
            self._write(trigger_id, found)
        return found

    def note(self, trigger_id: str, stream: Stream, floor: int) -> None:
        """A trigger has a consumer on a stream, which has come so far."""
        entry = self._entries[trigger_id]
        if (entry.streams.get(stream.name), entry.made.get(stream.name)) != (floor, stream.created):
            streams = {**entry.streams, stream.name: floor}
            made = {**entry.made, stream.name: stream.created}
            self._write(trigger_id, msgspec.structs.replace(entry, streams=streams, made=made))

    def forget(self, trigger_id: str, stream: str | None = None) -> None:
        """Strike out a stream of a trigger, or the trigger."""
        entry = self._entries.get(trigger_id)
        if entry is None:
            return
        streams = {name: floor for name, floor in entry.streams.items() if stream is not None and name != stream}
        if stream is None:
            self._write(trigger_id, None)
        else:
            self._write(trigger_id, msgspec.structs.replace(entry, streams=streams))

    def _write(self, trigger_id: str, entry: Entry | None) -> None:
        entries = {**self._entries, trigger_id: entry}
        kept = {name: one for name, one in entries.items() if one is not None}
        with self._store.transaction():
            self._store.facts.put(_FACT, kept)
        self._entries = kept
