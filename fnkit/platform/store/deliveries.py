"""The delivery log: what fired, when, and what came of it. The newest of each source are kept."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from fnkit.platform.records.cron import Delivery

__all__ = ["KEPT_PER_SOURCE", "Deliveries"]

KEPT_PER_SOURCE: Final = 1000


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

    def begin(self, source_id: str, delivery: Delivery) -> None:
        """Add a delivery and drop what is beyond the newest ``KEPT_PER_SOURCE``."""
        self._connection.execute(
            "INSERT INTO deliveries (id, source_id, status, record) VALUES (?, ?, ?, ?)",
            (delivery.id, source_id, delivery.status, msgspec.json.encode(delivery).decode()),
        )
        self._connection.execute(
            "DELETE FROM deliveries WHERE source_id = ? AND seq <= COALESCE((SELECT seq FROM deliveries "
            "WHERE source_id = ? ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)",
            (source_id, source_id, KEPT_PER_SOURCE),
        )

    def update(self, delivery: Delivery) -> None:
        """Write what came of a delivery."""
        self._connection.execute(
            "UPDATE deliveries SET status = ?, record = ? WHERE id = ?",
            (delivery.status, msgspec.json.encode(delivery).decode(), delivery.id),
        )

    def of(self, source_id: str, *, limit: int, failed: bool = False) -> list[Delivery]:
        """Return the newest deliveries of a source first."""
        only = "AND status IN ('failed', 'dead') " if failed else ""
        rows = self._connection.execute(
            f"SELECT record FROM deliveries WHERE source_id = ? {only}ORDER BY seq DESC LIMIT ?",  # noqa: S608  own text
            (source_id, limit),
        )
        return [self._decoder.decode(row[0]) for row in rows.fetchall()]

    def count(self, source_id: str) -> int:
        """How many deliveries of a source are kept."""
        row = self._connection.execute("SELECT COUNT(*) FROM deliveries WHERE source_id = ?", (source_id,))
        return int(row.fetchone()[0])

    def unfinished(self) -> list[Delivery]:
        """Return what had begun and has no outcome: a control process died in between."""
        rows = self._connection.execute("SELECT record FROM deliveries WHERE status = 'pending' ORDER BY seq")
        return [self._decoder.decode(row[0]) for row in rows.fetchall()]

    def drop(self, source_id: str) -> None:
        """Forget the deliveries of a source that is gone."""
        self._connection.execute("DELETE FROM deliveries WHERE source_id = ?", (source_id,))
