"""Single values that outlive the process: the clock, and the like."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

import msgspec

__all__ = ["Facts"]

T = TypeVar("T")


class Facts:
    """Named values, as JSON."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str, kind: type[T]) -> T | None:
        """Return the value of that name, or ``None``."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=kind)

    def put(self, name: str, value: object) -> None:
        """Keep the value under that name."""
        self._connection.execute(
            "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, msgspec.json.encode(value).decode()),
        )
