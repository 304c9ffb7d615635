"""What an organization uses of its quotas: counters that the database keeps (``0002_…``), never scans."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

__all__ = ["Usage", "UsageCounters"]


@dataclass(frozen=True, slots=True)
class Usage:
    """How many functions, and their memory × max_scale together in MB."""

    functions: int
    memory: int


class UsageCounters:
    """Reads the counters; writing is the database's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, organization_id: str) -> Usage:
        """Return what an organization uses now."""
        row = self._connection.execute(
            "SELECT functions, memory FROM organization_usage WHERE organization_id = ?", (organization_id,)
        ).fetchone()
        return Usage(0, 0) if row is None else Usage(int(row[0]), int(row[1]))
