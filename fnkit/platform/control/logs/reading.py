"""One query at work in a thread: what it has read, how long it may go on, and that it lets others work too."""

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

_SECONDS: Final = 60.0  # real; Loki's default is a minute too
_LINES_A_TURN: Final = 1000
_NUMBERS_A_TURN: Final = 100_000


class QueryTooSlow(QueryRefused):
    """A query that took too long; Loki answers it with 504."""

    default_code = "query-too-slow"


class QueryWork:
    """Reads lines for one query. ``cancelled`` is set when nobody waits for the answer any more."""

    def __init__(self, sources: list[LogSource], cancelled: Event) -> None:
        self.lines = 0
        self.bytes = 0
        self.started = time.monotonic()
        self._sources = sources
        self._cancelled = cancelled
        self._numbers = 0

    @property
    def seconds(self) -> float:
        """How long the query has worked."""
        return time.monotonic() - self.started

    def read(self, query: LogQuery, after: int, until: int) -> Iterator[Entry]:
        """Yield lines after one moment, up to and with another, in no particular order over functions."""
        for selection in select(self._sources, query.selector):
            span = Span(after + 1, until + 1)
            yield from self._counted(entries_of(selection, span, self._needles(query), backward=False))

    def read_in_order(self, query: LogQuery, span: Span, *, backward: bool) -> Iterator[Entry]:
        """Yield the lines of a span in order of time."""
        needles = self._needles(query)
        parts: list[Iterable[Entry]] = [
            entries_of(selection, span, needles, backward=backward)
            for selection in select(self._sources, query.selector)
        ]
        return self._counted(in_order(parts, backward=backward)) if parts else iter(())

    def spend(self, numbers: int) -> None:
        """Account for work on numbers.

        Raises:
            QueryRefused: too late, or nobody waits.
        """
        self._numbers += numbers
        if self._numbers > _NUMBERS_A_TURN:
            self._numbers = 0
            self.turn()

    def turn(self) -> None:
        """Let the event loop work: between two of these, this thread may hold the interpreter.

        Raises:
            QueryRefused: too late, or nobody waits.
        """
        if self._cancelled.is_set():
            raise QueryRefused("the request was cancelled by the client")
        if self.seconds > _SECONDS:
            raise QueryTooSlow(
                "request timed out, decrease the duration of the request or add more label matchers (prefer exact "
                "match over regex match) to reduce the amount of data processed"
            )
        time.sleep(0)

    def _needles(self, query: LogQuery) -> tuple[bytes, ...]:
        return needles_for(required_texts(query.stages))

    def _counted(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.lines += 1
            self.bytes += len(entry.line)
            if not self.lines % _LINES_A_TURN:
                self.turn()
            yield entry
