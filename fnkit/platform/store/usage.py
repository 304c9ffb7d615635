"""The quota usage of organizations, read from counters that triggers of the database maintain."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

__all__ = ["OrganizationUsage", "UsageCounters"]


@dataclass(frozen=True, slots=True)
class OrganizationUsage:
    """The quota usage of one organization.

    Attributes:
        functions: Number of functions.
        memory: Sum of memory × max_scale of all functions, in MB.
    """

    functions: int
    memory: int


class UsageCounters:
    """Reads the counters. SQL triggers on the functions table write them (migration 0002)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, organization_id: str) -> OrganizationUsage:
        """Return the current usage of an organization."""
        row = self._connection.execute(
            "SELECT functions, memory FROM organization_usage WHERE organization_id = ?", (organization_id,)
        ).fetchone()
        return OrganizationUsage(0, 0) if row is None else OrganizationUsage(int(row[0]), int(row[1]))
