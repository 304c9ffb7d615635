"""Executes a single query in a thread: reading, time limit, cancellation and fairness to other threads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Final

from fnkit.platform.control.logs.entries import entries_of, in_order, needles_for
from fnkit.platform.control.logs.segments import Span
from fnkit.platform.control.logs.sources import LogSource, select
from fnkit.platform.logql.entries import Entry
from fnkit.platform.logql.pipeline import required_texts
from fnkit.platform.logql.refusal import QueryRefused
from fnkit.platform.logql.syntax import LogQuery

__all__ = ["QueryTooSlow", "QueryWork"]

_SECONDS: Final = 60.0  # real time, not platform time; Loki's default as well
_LINES_A_TURN: Final = 1000
_NUMBERS_A_TURN: Final = 100_000


class QueryTooSlow(QueryRefused):
    """The query exceeded the time limit. Loki responds with status 504."""

    default_code = "query-too-slow"


class QueryWork:
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
        self.lines = 0
        self.bytes = 0
        self.started = time.monotonic()
        self._sources = sources
        self._cancelled = cancelled
        self._numbers = 0

    @property
    def seconds(self) -> float:
        """The time since the query started."""
        return time.monotonic() - self.started

    def read(self, query: LogQuery, after: int, until: int) -> Iterator[Entry]:
        """Yield the lines of a query's selector, function by function.

        Args:
            query: The query; its stages are not applied.
            after: Start of the time span in nanoseconds, excluded.
            until: End of the time span in nanoseconds, included.
        """
        for selection in select(self._sources, query.selector):
            span = Span(after + 1, until + 1)
            yield from self._counted(entries_of(selection, span, self._needles(query), backward=False))

    def read_in_order(self, query: LogQuery, span: Span, *, backward: bool) -> Iterator[Entry]:
        """Yield the lines of a query's selector in a time span, sorted by time over all functions."""
        required_bytes = self._needles(query)
        parts: list[Iterable[Entry]] = [
            entries_of(selection, span, required_bytes, backward=backward)
            for selection in select(self._sources, query.selector)
        ]
        return self._counted(in_order(parts, backward=backward)) if parts else iter(())

    def spend(self, numbers: int) -> None:
        """Account for work on numbers, which reads no lines.

        Raises:
            QueryError: The query was cancelled or exceeded its time limit.
        """
        self._numbers += numbers
        if self._numbers > _NUMBERS_A_TURN:
            self._numbers = 0
            self.turn()

    def turn(self) -> None:
        """Let other threads run, the event loop above all, and check cancellation and the time limit.

        Without it a query thread holds the GIL for a whole switch interval at a time, which the event loop would
        wait for several times in each request; ``docs/decisions/logs-as-loki.md`` has figures.

        Raises:
            QueryError: The query was cancelled or exceeded its time limit.
        """
        if self._cancelled.is_set():
            raise QueryRefused("the request was cancelled by the client")
        if self.seconds > _SECONDS:
            raise QueryTooSlow(
                "request timed out, decrease the duration of the request or add more label matchers (prefer exact "
                "match over regex match) to reduce the amount of data processed"
            )
        time.sleep(0)  # releases the GIL

    def _needles(self, query: LogQuery) -> tuple[bytes, ...]:
        return needles_for(required_texts(query.stages))

    def _counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.lines += 1
            self.bytes += len(entry.line)
            if not self.lines % _LINES_A_TURN:
                self.turn()
            yield entry
