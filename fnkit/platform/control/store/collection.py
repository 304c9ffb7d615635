"""Tables of records: each row holds the record as JSON and a few columns to filter and sort by.

The columns duplicate the fields that queries and constraints need; the JSON is authoritative. A new field with a
default needs no migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from fnkit.platform.model.records import ResourceRecord

Record = TypeVar("Record", bound=ResourceRecord)
ColumnValue: TypeAlias = str | int | None
_MAX_CACHED_COUNTS: Final = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """A sort order. Rows with equal values are sorted by creation.

    Attributes:
        column: Name of a column; ``seq`` is creation order.
        descending: Whether the largest value comes first.
    """

    column: str = "seq"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list.

    Attributes:
        number: Number of the page, counted from 1.
        size: Rows per page, at least 1.
    """

    number: int = 1
    size: int = 20


class Collection(Generic[Record]):
    """The records of one table.

    Table and column names are interpolated into SQL, so they must be constants of this code base and never come
    from a request. Values are always bound as parameters.

    Args:
        connection: The store's connection.
        table: Name of the table.
        record_type: Type of the records.
        fields: Fields of the records that are columns of the table, in addition to id, region and status.
        computed: The table's further columns: name → value of a record.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        table: str,
        record_type: type[Record],
        fields: Iterable[str],
        computed: Mapping[str, Callable[[Record], ColumnValue]] = MappingProxyType({}),
    ) -> None:
        self._connection = connection
        self._table = table
        self._columns: Final[dict[str, Callable[[Record], ColumnValue]]] = {
            **{field: attrgetter(field) for field in fields},
            "status": lambda record: record.status.value,
            **computed,
        }
        self._decoder = msgspec.json.Decoder(record_type)
        self._encoder = msgspec.json.Encoder()
        names = ", ".join(("id", "region", *self._columns, "record"))
        marks = ", ".join("?" * (len(self._columns) + 3))
        self._insert_query = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  own names
        sets = ", ".join(f"{name} = ?" for name in (*self._columns, "record"))
        self._update_query = f"UPDATE {table} SET {sets} WHERE id = ?"  # noqa: S608  own names
        self._counts: dict[tuple[tuple[str, ColumnValue], ...], int] = {}
        self._subscribers: list[Callable[[str], None]] = []
        self._select_query = f"SELECT record FROM {table} WHERE id = ?"  # noqa: S608  own names

    def subscribe(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with a record's id before the record is updated or deleted.

        The call happens inside the write's transaction and before the write: reading the record returns its old
        state. A new record has none, so its insertion is not announced.
        """
        self._subscribers.append(callback)

    def get(self, record_id: str) -> Record | None:
        """Return the record with this id in any region, or ``None``."""
        row = self._connection.execute(self._select_query, (record_id,)).fetchone()
        return None if row is None else self._decoder.decode(row[0])

    def insert(self, record: Record) -> None:
        """Add a record.

        Raises:
            sqlite3.IntegrityError: A constraint is violated, for example a unique name.
        """
        self._counts.clear()
        values = [column(record) for column in self._columns.values()]
        self._connection.execute(self._insert_query, (record.id, record.region, *values, self._encode(record)))

    def update(self, record: Record) -> None:
        """Replace the record with the same id. Do nothing if there is none."""
        self._before_change(record.id)
        values = [column(record) for column in self._columns.values()]
        self._connection.execute(self._update_query, (*values, self._encode(record), record.id))

    def delete(self, record_id: str) -> None:
        """Delete the record with this id if it exists."""
        self._before_change(record_id)
        self._connection.execute(f"DELETE FROM {self._table} WHERE id = ?", (record_id,))  # noqa: S608  own names

    def count(self, filters: Mapping[str, ColumnValue]) -> int:
        """Return the number of records that match all filters (column → value).

        Counts are cached until the next write to the table, since every list returns its total.
        """
        key = tuple(filters.items())
        if (known := self._counts.get(key)) is not None:
            return known
        where, values = self._where_clause(filters)
        row = self._connection.execute(f"SELECT COUNT(*) FROM {self._table}{where}", values).fetchone()  # noqa: S608  own names
        number = int(row[0])
        # A count read inside a transaction may be rolled back, and nothing would then clear the cached value.
        if not self.in_transaction and len(self._counts) < _MAX_CACHED_COUNTS:
            self._counts[key] = number
        return number

    def ids(self, filters: Mapping[str, ColumnValue], order: Order, page: Page) -> list[str]:
        """Return the ids of one page of the matching records, an empty list past the last page.

        OFFSET makes SQLite step over every row before the page, so a page in the second half is read in the
        opposite order from the end and reversed.
        """
        total, before = self.count(filters), (page.number - 1) * page.size
        size = min(page.size, total - before)
        if size <= 0:
            return []
        after = total - before - size
        from_end = after < before
        where, values = self._where_clause(filters)
        direction = "DESC" if order.descending != from_end else "ASC"
        query = (
            f"SELECT id FROM {self._table}{where} "  # noqa: S608  own names
            f"ORDER BY {order.column} {direction}, seq {direction} LIMIT ? OFFSET ?"
        )
        rows = self._connection.execute(query, (*values, size, after if from_end else before)).fetchall()
        ids = [row[0] for row in rows]
        return ids[::-1] if from_end else ids

    def all(self, **filters: ColumnValue) -> Iterator[Record]:
        """Return all records that match the filters (column = value), in order of creation."""
        where, values = self._where_clause(filters)
        rows = self._connection.execute(
            f"SELECT record FROM {self._table}{where} ORDER BY seq",  # noqa: S608  own names
            values,
        ).fetchall()
        return (self._decoder.decode(row[0]) for row in rows)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open. Reads may then still be rolled back and must not be cached."""
        return self._connection.in_transaction

    def _before_change(self, record_id: str) -> None:
        self._counts.clear()
        for callback in self._subscribers:
            callback(record_id)

    def _encode(self, record: Record) -> str:
        return self._encoder.encode(record).decode()

    def _where_clause(self, filters: Mapping[str, ColumnValue]) -> tuple[str, tuple[ColumnValue, ...]]:
        if not filters:
            return "", ()
        known = {"id", "region", "seq", *self._columns}
        assert known >= filters.keys(), filters  # noqa: S101  a programming error: filters never come from requests
        return " WHERE " + " AND ".join(f"{name} = ?" for name in filters), tuple(filters.values())
