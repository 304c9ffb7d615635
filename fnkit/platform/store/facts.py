"""Named single values, such as the state of the clock."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

import msgspec

__all__ = ["KeyValueStore"]

T = TypeVar("T")


class KeyValueStore:
    """A table of named values, stored as JSON."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str, value_type: type[T]) -> T | None:
        """Return the value of ``name``, or ``None`` if there is none.

        Raises:
            msgspec.MsgspecError: The stored value is not of type ``value_type``.
        """
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=value_type)

    def put(self, name: str, value: object) -> None:
        """Set the value of ``name``."""
        self._connection.execute(
            "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, msgspec.json.encode(value).decode()),
        )
