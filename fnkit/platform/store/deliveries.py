"""The delivery log's table: what fired, when, and what came of it. The newest of each source are kept.

Bodies of deliveries under way and of failed ones are kept whole, within ``WHOLE_BODIES_PER_SOURCE``; those of
deliveries that succeeded are cut to ``BODY_KEPT``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from fnkit.platform.records.delivery import Delivery, DeliveryStatus

__all__ = ["BODY_KEPT", "KEPT_PER_SOURCE", "WHOLE_BODIES_PER_SOURCE", "Deliveries"]

KEPT_PER_SOURCE: Final = 1000
"""Of each source, and of each shelf of it, so that no flood of successes displaces what failed for good."""

BODY_KEPT: Final = 64 * 1024
"""Bytes of a body that are kept of a delivery that needs nobody any more."""

WHOLE_BODIES_PER_SOURCE: Final = 64 * 1024 * 1024
"""Bytes of bodies beyond ``BODY_KEPT`` that are kept whole: the newest, dead messages before all others."""

_SHELVES: Final = (
    (DeliveryStatus.SUCCEEDED,),
    (DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN),
    (DeliveryStatus.DEAD,),
    (DeliveryStatus.PENDING,),
)
# A source that is gone takes nothing in: what was under way when it was deleted ends unheard.
_PUT: Final = """
INSERT INTO deliveries (id, source_id, status, message_id, replayed_by, record, body)
SELECT :id, :source, :status, :message, :replayed, :record, :body
WHERE EXISTS (SELECT 1 FROM crons WHERE id = :source UNION ALL SELECT 1 FROM triggers WHERE id = :source)
ON CONFLICT (id) DO UPDATE SET
  status = excluded.status, record = excluded.record, replayed_by = excluded.replayed_by,
  body = excluded.body
"""


class Deliveries:
    """Deliveries by source (a cron's or trigger's id), and the last tick of every cron."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._decoder = msgspec.json.Decoder(Delivery)

    def last_tick(self, cron_id: str) -> float | None:
        """Return the newest tick that was begun, in Unix seconds."""
        row = self._connection.execute("SELECT at FROM ticks WHERE cron_id = ?", (cron_id,)).fetchone()
        return None if row is None else float(row[0])

    def begin_tick(self, cron_id: str, tick: float) -> None:
        """Remember a tick as begun; belongs into the transaction that begins its delivery."""
        self._connection.execute(
            "INSERT INTO ticks (cron_id, at) VALUES (?, ?) ON CONFLICT (cron_id) DO UPDATE SET at = excluded.at",
            (cron_id, tick),
        )

    def put(self, source_id: str, delivery: Delivery, body: bytes) -> None:
        """Add a delivery, or replace what is known of it. Nothing happens where its source is gone."""
        self._connection.execute(_PUT, _row(source_id, delivery, body))

    def put_all(self, deliveries: Iterable[tuple[str, Delivery, bytes]]) -> None:
        """As ``put``, for many at a time: a source's id, a delivery and its body of each."""
        self._connection.executemany(_PUT, (_row(*one) for one in deliveries))

    def prune(self, source_id: str) -> None:
        """Drop what is beyond the newest ``KEPT_PER_SOURCE`` of each shelf."""
        for shelf in _SHELVES:
            marks = ", ".join("?" * len(shelf))
            self._connection.execute(
                f"DELETE FROM deliveries WHERE source_id = ? AND status IN ({marks}) AND seq <= COALESCE("  # noqa: S608  own text
                f"(SELECT seq FROM deliveries WHERE source_id = ? AND status IN ({marks}) "
                "ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)",
                (source_id, *shelf, source_id, *shelf, KEPT_PER_SOURCE),
            )

    def cut_bodies(self, source_id: str) -> int:
        """Cut the bodies beyond the source's allowance; returns how many of dead messages were among them."""
        rows = self._connection.execute(
            "SELECT seq, length(body), status FROM deliveries WHERE source_id = ? AND length(body) > ? "
            "ORDER BY status = 'dead' DESC, seq DESC",
            (source_id, BODY_KEPT),
        ).fetchall()
        left, cut = WHOLE_BODIES_PER_SOURCE, []
        for seq, size, status in rows:
            left -= size
            if left < 0:
                cut.append((seq, status))
        self._connection.executemany(
            "UPDATE deliveries SET body = substr(body, 1, ?) WHERE seq = ?", [(BODY_KEPT, seq) for seq, _ in cut]
        )
        return sum(status == DeliveryStatus.DEAD for _, status in cut)

    def page(
        self,
        source_id: str,
        *,
        limit: int,
        statuses: Sequence[str] = (),
        before: str | None = None,
        replayed: bool | None = None,
        body_bytes: int = BODY_KEPT,
    ) -> list[tuple[Delivery, bytes]]:
        """Return the newest deliveries first, each with the beginning of its body.

        before: only those that are older than this one. replayed: only those that were, or were not, repeated.
        """
        where, values = _filter(source_id, statuses)
        if before is not None:
            where += " AND seq < COALESCE((SELECT seq FROM deliveries WHERE id = ? AND source_id = ?), 0)"
            values += [before, source_id]
        if replayed is not None:
            where += f" AND replayed_by IS {'NOT ' if replayed else ''}NULL"
        rows = self._connection.execute(
            f"SELECT record, COALESCE(substr(body, 1, ?), x'') FROM deliveries {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608  own text
            (body_bytes, *values, limit),
        )
        return [(self._decoder.decode(record), bytes(body)) for record, body in rows.fetchall()]

    def one(self, source_id: str, delivery_id: str) -> tuple[Delivery, bytes] | None:
        """Return one delivery of a source, with as much of its body as is kept."""
        return self._single("source_id = ? AND id = ?", (source_id, delivery_id))

    def of_message(self, source_id: str, message_id: str) -> tuple[Delivery, bytes] | None:
        """Return the newest delivery of a broker's message."""
        return self._single("source_id = ? AND message_id = ? ORDER BY seq DESC LIMIT 1", (source_id, message_id))

    def count(self, source_id: str, statuses: Sequence[str] = ()) -> int:
        """How many deliveries of a source are kept."""
        where, values = _filter(source_id, statuses)
        row = self._connection.execute(f"SELECT COUNT(*) FROM deliveries {where}", values)  # noqa: S608  own text
        return int(row.fetchone()[0])

    def unfinished(self) -> list[Delivery]:
        """Return what had begun and has no outcome: a control process died in between."""
        rows = self._connection.execute("SELECT record FROM deliveries WHERE status = 'pending' ORDER BY seq")
        return [self._decoder.decode(record) for (record,) in rows.fetchall()]

    def unanswered(self, source_id: str) -> list[tuple[str, str]]:
        """Return each delivery of a message that has no outcome yet: its id, and its message's."""
        rows = self._connection.execute(
            "SELECT id, message_id FROM deliveries "
            "WHERE source_id = ? AND status = 'pending' AND message_id IS NOT NULL",
            (source_id,),
        )
        return [(str(name), str(message)) for name, message in rows.fetchall()]

    def restate(self, delivery: Delivery) -> None:
        """Replace what is known of a delivery; its body stays."""
        self._connection.execute(
            "UPDATE deliveries SET status = ?, record = ? WHERE id = ?",
            (delivery.status, msgspec.json.encode(delivery).decode(), delivery.id),
        )

    def mark_replayed(self, original: Delivery, replay_id: str) -> None:
        """Say which delivery repeats this one."""
        marked = msgspec.structs.replace(original, replayed_by=replay_id)
        self._connection.execute(
            "UPDATE deliveries SET replayed_by = ?, record = ? WHERE id = ?",
            (replay_id, msgspec.json.encode(marked).decode(), original.id),
        )

    def drop(self, source_id: str) -> None:
        """Forget the deliveries of a source that is gone."""
        self._connection.execute("DELETE FROM deliveries WHERE source_id = ?", (source_id,))

    def _single(self, where: str, values: tuple[str, ...]) -> tuple[Delivery, bytes] | None:
        row = self._connection.execute(f"SELECT record, body FROM deliveries WHERE {where}", values).fetchone()  # noqa: S608  own text
        return None if row is None else (self._decoder.decode(row[0]), bytes(row[1]))


def _row(source_id: str, delivery: Delivery, body: bytes) -> dict[str, str | bytes | None]:
    succeeded = delivery.status == DeliveryStatus.SUCCEEDED
    return {
        "id": delivery.id,
        "source": source_id,
        "status": delivery.status,
        "message": delivery.message_id,
        "replayed": delivery.replayed_by,
        "record": msgspec.json.encode(delivery).decode(),
        "body": body[:BODY_KEPT] if succeeded else body,
    }


def _filter(source_id: str, statuses: Sequence[str]) -> tuple[str, list[str]]:
    marks = f" AND status IN ({', '.join('?' * len(statuses))})" if statuses else ""
    return f"WHERE source_id = ?{marks}", [source_id, *statuses]
