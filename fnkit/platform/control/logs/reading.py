"""Executes a single query in a thread: reading, time limit, cancellation and fairness to other threads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Final

from fnkit.platform.control.logs.entries import read_entries, merge_by_time, encoded_texts
from fnkit.platform.control.logs.segments import TimeSpan
from fnkit.platform.control.logs.sources import LogSource, select_streams
from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.logql.pipeline import required_texts
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.syntax import LogQuery

__all__ = ["QueryTimedOut", "QueryExecution"]

_QUERY_TIMEOUT: Final = 60.0  # real time, not platform time; Loki's default as well
_LINES_PER_YIELD: Final = 1000
_NUMBERS_PER_YIELD: Final = 100_000


class QueryTimedOut(QueryError):
    """The query exceeded the time limit. Loki responds with status 504."""

    default_code = "query-too-slow"


class QueryExecution:
    """Reads the lines of a single query and enforces its limits. Used by a single thread.

    Attributes:
        lines_read: The number of lines read so far.
        bytes_read: The size of these lines.
        started_at: When the query started, on the monotonic clock.
    """

    def __init__(self, sources: list[LogSource], cancelled: Event) -> None:
        """Start the execution, and with it the time limit.

        Args:
            sources: The functions that the query may read.
            cancelled: Set by another thread once the client has disconnected.
        """
        self.lines_read = 0
        self.bytes_read = 0
        self.started_at = time.monotonic()
        self._sources = sources
        self._cancelled = cancelled
        self._uncharged_numbers = 0

    @property
    def elapsed(self) -> float:
        """The time since the query started."""
        return time.monotonic() - self.started_at

    def read(self, query: LogQuery, after: int, until: int) -> Iterator[LogEntry]:
        """Yield the lines of a query's selector, function by function.

        Args:
            query: The query; its stages are not applied.
            after: Start of the time span in nanoseconds, excluded.
            until: End of the time span in nanoseconds, included.
        """
        for selection in select_streams(self._sources, query.selector):
            span = TimeSpan(after + 1, until + 1)
            yield from self._count_lines(read_entries(selection, span, self._required_bytes(query), backward=False))

    def read_in_order(self, query: LogQuery, span: TimeSpan, *, backward: bool) -> Iterator[LogEntry]:
        """Yield the lines of a query's selector in a time span, sorted by time over all functions."""
        required_bytes = self._required_bytes(query)
        parts: list[Iterable[LogEntry]] = [
            read_entries(selection, span, required_bytes, backward=backward)
            for selection in select_streams(self._sources, query.selector)
        ]
        return self._count_lines(merge_by_time(parts, backward=backward)) if parts else iter(())

    def charge(self, numbers: int) -> None:
        """Account for work on numbers, which reads no lines.

        Raises:
            QueryError: The query was cancelled or exceeded its time limit.
        """
        self._uncharged_numbers += numbers
        if self._uncharged_numbers > _NUMBERS_PER_YIELD:
            self._uncharged_numbers = 0
            self.yield_gil()

    def yield_gil(self) -> None:
        """Let other threads run, the event loop above all, and check cancellation and the time limit.

        Without it a query thread holds the GIL for a whole switch interval at a time, which the event loop would
        wait for several times in each request; ``docs/decisions/logs-as-loki.md`` has figures.

        Raises:
            QueryError: The query was cancelled or exceeded its time limit.
        """
        if self._cancelled.is_set():
            raise QueryError("the request was cancelled by the client")
        if self.elapsed > _QUERY_TIMEOUT:
            raise QueryTimedOut(
                "request timed out, decrease the duration of the request or add more label matchers (prefer exact "
                "match over regex match) to reduce the amount of data processed"
            )
        time.sleep(0)  # releases the GIL

    def _required_bytes(self, query: LogQuery) -> tuple[bytes, ...]:
        return encoded_texts(required_texts(query.stages))

    def _count_lines(self, entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
        for entry in entries:
            self.lines_read += 1
            self.bytes_read += len(entry.line)
            if not self.lines_read % _LINES_PER_YIELD:
                self.yield_gil()
            yield entry
