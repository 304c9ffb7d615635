"""The table of deliveries. The newest deliveries of each source (a cron or a trigger) are kept.

Bodies of pending and failed deliveries are stored completely, up to ``FULL_BODIES_BUDGET`` per source; bodies of
successful deliveries are truncated to ``TRUNCATED_BODY_BYTES``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from fnkit.platform.model.delivery import Delivery, DeliveryStatus

KEPT_PER_GROUP: Final = 1000
"""Deliveries kept per source and retention group. Groups are separate so that successes never displace failures."""

TRUNCATED_BODY_BYTES: Final = 64 * 1024
"""Length of a truncated body."""

FULL_BODIES_BUDGET: Final = 64 * 1024 * 1024
"""Total size per source of bodies longer than ``TRUNCATED_BODY_BYTES``.

Beyond it the oldest bodies are truncated, those of dead messages last.
"""

_RETENTION_GROUPS: Final = (
    (DeliveryStatus.SUCCEEDED,),
    (DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN),
    (DeliveryStatus.DEAD,),
    (DeliveryStatus.PENDING,),
)
# Nothing is inserted for a source that was deleted meanwhile: its pending deliveries may finish after the deletion,
# and nothing would ever remove their rows.
_UPSERT: Final = """
INSERT INTO deliveries (id, source_id, status, message_id, replayed_by, record, body)
SELECT :id, :source, :status, :message, :replayed, :record, :body
WHERE EXISTS (SELECT 1 FROM crons WHERE id = :source UNION ALL SELECT 1 FROM triggers WHERE id = :source)
ON CONFLICT (id) DO UPDATE SET
  status = excluded.status, record = excluded.record, replayed_by = excluded.replayed_by,
  body = excluded.body
"""


class DeliveryTable:
    """Deliveries by source (the id of a cron or trigger), and the last scheduled run of each cron."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._decoder = msgspec.json.Decoder(Delivery)

    def last_scheduled_run(self, cron_id: str) -> float | None:
        """Return the scheduled time of the cron's last run in Unix seconds, or ``None``."""
        row = self._connection.execute("SELECT at FROM ticks WHERE cron_id = ?", (cron_id,)).fetchone()
        return None if row is None else float(row[0])

    def record_scheduled_run(self, cron_id: str, scheduled_at: float) -> None:
        """Record that a scheduled run was started.

        Call this in the transaction that inserts the run's delivery: only then is no run started twice after a
        crash.
        """
        self._connection.execute(
            "INSERT INTO ticks (cron_id, at) VALUES (?, ?) ON CONFLICT (cron_id) DO UPDATE SET at = excluded.at",
            (cron_id, scheduled_at),
        )

    def put_all(self, deliveries: Iterable[tuple[str, Delivery, bytes]]) -> None:
        """Insert or replace deliveries, except those whose source no longer exists.

        Args:
            deliveries: The source's id, the delivery and its body, for each delivery.
        """
        self._connection.executemany(_UPSERT, (_row(*one) for one in deliveries))

    def prune(self, source_id: str) -> None:
        """Delete all but the newest ``KEPT_PER_GROUP`` deliveries of each retention group."""
        for group in _RETENTION_GROUPS:
            placeholders = ", ".join("?" * len(group))
            self._connection.execute(
                f"DELETE FROM deliveries WHERE source_id = ? AND status IN ({placeholders}) AND seq <= COALESCE("  # noqa: S608  own text
                f"(SELECT seq FROM deliveries WHERE source_id = ? AND status IN ({placeholders}) "
                "ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)",
                (source_id, *group, source_id, *group, KEPT_PER_GROUP),
            )

    def truncate_bodies(self, source_id: str) -> int:
        """Truncate bodies until the source is within ``FULL_BODIES_BUDGET``.

        Returns:
            Number of dead messages among the truncated ones, which can no longer be replayed.
        """
        rows = self._connection.execute(
            "SELECT seq, length(body), status FROM deliveries WHERE source_id = ? AND length(body) > ? "
            "ORDER BY status = 'dead' DESC, seq DESC",
            (source_id, TRUNCATED_BODY_BYTES),
        ).fetchall()
        remaining, truncated = FULL_BODIES_BUDGET, []
        for seq, size, status in rows:
            remaining -= size
            if remaining < 0:
                truncated.append((seq, status))
        self._connection.executemany(
            "UPDATE deliveries SET body = substr(body, 1, ?) WHERE seq = ?",
            [(TRUNCATED_BODY_BYTES, seq) for seq, _ in truncated],
        )
        return sum(status == DeliveryStatus.DEAD for _, status in truncated)

    def page(
        self,
        source_id: str,
        *,
        limit: int,
        statuses: Sequence[str] = (),
        before: str | None = None,
        replayed: bool | None = None,
        body_bytes: int = TRUNCATED_BODY_BYTES,
    ) -> list[tuple[Delivery, bytes]]:
        """Return deliveries of a source, newest first, each with the beginning of its body.

        Args:
            source_id: The cron or trigger.
            limit: Largest number of deliveries.
            statuses: Only deliveries with one of these statuses; empty for all.
            before: Only deliveries older than the one with this id. If that one does not exist, none match.
            replayed: Only deliveries that were (``True``) or were not (``False``) replayed.
            body_bytes: Largest number of bytes of each body.
        """
        where, values = _where_clause(source_id, statuses)
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

    def get(self, source_id: str, delivery_id: str) -> tuple[Delivery, bytes] | None:
        """Return a delivery of a source with its stored body, or ``None``."""
        return self._select_one("source_id = ? AND id = ?", (source_id, delivery_id))

    def find_by_message(self, source_id: str, message_id: str) -> tuple[Delivery, bytes] | None:
        """Return the newest delivery of a broker's message with its stored body, or ``None``."""
        return self._select_one(
            "source_id = ? AND message_id = ? ORDER BY seq DESC LIMIT 1", (source_id, message_id)
        )

    def count(self, source_id: str, statuses: Sequence[str] = ()) -> int:
        """Return the number of stored deliveries of a source."""
        where, values = _where_clause(source_id, statuses)
        row = self._connection.execute(f"SELECT COUNT(*) FROM deliveries {where}", values)  # noqa: S608  own text
        return int(row.fetchone()[0])

    def pending(self) -> list[Delivery]:
        """Return all pending deliveries, oldest first."""
        rows = self._connection.execute("SELECT record FROM deliveries WHERE status = 'pending' ORDER BY seq")
        return [self._decoder.decode(record) for (record,) in rows.fetchall()]

    def update(self, delivery: Delivery) -> None:
        """Replace a delivery's record. Its body is unchanged."""
        self._connection.execute(
            "UPDATE deliveries SET status = ?, replayed_by = ?, record = ? WHERE id = ?",
            (delivery.status, delivery.replayed_by, msgspec.json.encode(delivery).decode(), delivery.id),
        )

    def delete_by_source(self, source_id: str) -> None:
        """Delete all deliveries of a source."""
        self._connection.execute("DELETE FROM deliveries WHERE source_id = ?", (source_id,))

    def _select_one(self, where: str, values: tuple[str, ...]) -> tuple[Delivery, bytes] | None:
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
        "body": body[:TRUNCATED_BODY_BYTES] if succeeded else body,
    }


def _where_clause(source_id: str, statuses: Sequence[str]) -> tuple[str, list[str]]:
    condition = f" AND status IN ({', '.join('?' * len(statuses))})" if statuses else ""
    return f"WHERE source_id = ?{condition}", [source_id, *statuses]
