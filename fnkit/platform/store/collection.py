"""One table of records: a few columns to find them by, and the record itself as JSON.

The columns repeat what queries and constraints need; the record is the truth. A field added to a record with a
default needs no migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec

__all__ = ["Collection", "Order", "Page", "Stored", "Value"]

Value: TypeAlias = str | int | None


class Stored(Protocol):
    """What every stored record has."""

    @property
    def id(self) -> str:
        """UUID."""
        ...

    @property
    def region(self) -> str:
        """The region it belongs to."""
        ...


R = TypeVar("R", bound=Stored)


_COUNTS_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by; creation order decides between equals."""

    column: str = "seq"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """``number`` counts from 1; ``size`` is at least 1."""

    number: int = 1
    size: int = 20


class Collection(Generic[R]):
    """The records of one table. Table and column names are this code's own, never a caller's text.

    Whoever listens is called with a record's id before each write to it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        table: str,
        kind: type[R],
        columns: Mapping[str, Callable[[R], Value]],
    ) -> None:
        self._connection = connection
        self._table = table
        self._columns: Final = dict(columns)
        self._decoder = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()
        names = ", ".join(("id", "region", *self._columns, "record"))
        marks = ", ".join("?" * (len(self._columns) + 3))
        self._insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  own names
        sets = ", ".join(f"{name} = ?" for name in (*self._columns, "record"))
        self._update = f"UPDATE {table} SET {sets} WHERE id = ?"  # noqa: S608  own names
        self._counts: dict[tuple[tuple[str, Value], ...], int] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._get = f"SELECT record FROM {table} WHERE id = ?"  # noqa: S608  own names

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have this called too. It is inside the write's transaction, so what it reads is what was before."""
        self._listeners.append(listener)

    def get(self, record_id: str) -> R | None:
        """Return the record of that id, whatever its region."""
        row = self._connection.execute(self._get, (record_id,)).fetchone()
        return None if row is None else self._decoder.decode(row[0])

    def insert(self, record: R) -> None:
        """Add a record; ``sqlite3.IntegrityError`` where a constraint says no."""
        self._changing(record.id)
        values = [column(record) for column in self._columns.values()]
        self._connection.execute(self._insert, (record.id, record.region, *values, self._text(record)))

    def update(self, record: R) -> None:
        """Replace the record of that id; nothing happens where there is none."""
        self._changing(record.id)
        values = [column(record) for column in self._columns.values()]
        self._connection.execute(self._update, (*values, self._text(record), record.id))

    def delete(self, record_id: str) -> None:
        """Remove the record of that id, if there is one."""
        self._changing(record_id)
        self._connection.execute(f"DELETE FROM {self._table} WHERE id = ?", (record_id,))  # noqa: S608  own names

    def count(self, filters: Mapping[str, Value]) -> int:
        """How many records match every filter (column → value)."""
        key = tuple(filters.items())
        if (known := self._counts.get(key)) is not None:
            return known
        where, values = self._where(filters)
        row = self._connection.execute(f"SELECT COUNT(*) FROM {self._table}{where}", values).fetchone()  # noqa: S608  own names
        number = int(row[0])
        if not self.in_transaction and len(self._counts) < _COUNTS_KEPT:
            self._counts[key] = number
        return number

    def ids(self, filters: Mapping[str, Value], order: Order, page: Page) -> list[str]:
        """Return the ids of one page of what matches; empty past the end.

        SQLite walks to a page's beginning, so a page past the middle is read from the other end and turned round.
        """
        total, before = self.count(filters), (page.number - 1) * page.size
        size = min(page.size, total - before)
        if size <= 0:
            return []
        after = total - before - size
        from_the_end = after < before
        where, values = self._where(filters)
        way = "DESC" if order.descending != from_the_end else "ASC"
        query = (
            f"SELECT id FROM {self._table}{where} "  # noqa: S608  own names
            f"ORDER BY {order.column} {way}, seq {way} LIMIT ? OFFSET ?"
        )
        rows = self._connection.execute(query, (*values, size, after if from_the_end else before)).fetchall()
        ids = [row[0] for row in rows]
        return ids[::-1] if from_the_end else ids

    def every(self, **filters: Value) -> Iterator[R]:
        """Return all that match, in creation order."""
        where, values = self._where(filters)
        rows = self._connection.execute(
            f"SELECT record FROM {self._table}{where} ORDER BY seq",  # noqa: S608  own names
            values,
        ).fetchall()
        return (self._decoder.decode(row[0]) for row in rows)

    @property
    def in_transaction(self) -> bool:
        """Whether what is read now may still be rolled back, and so must not be remembered."""
        return self._connection.in_transaction

    def _changing(self, record_id: str) -> None:
        self._counts.clear()
        for listener in self._listeners:
            listener(record_id)

    def _text(self, record: R) -> str:
        return self._encoder.encode(record).decode()

    def _where(self, filters: Mapping[str, Value]) -> tuple[str, tuple[Value, ...]]:
        if not filters:
            return "", ()
        known = {"id", "region", "seq", *self._columns}
        assert known >= filters.keys(), filters  # noqa: S101  a fault of ours, never of a caller
        return " WHERE " + " AND ".join(f"{name} = ?" for name in filters), tuple(filters.values())
