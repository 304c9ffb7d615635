"""Reads lines: the newest ones, those since a point in time, and new ones as they are written.

A follower asks again and again, since requests work through every proxy and a restart of the server ends no
connection. A server may store a line later than others with the same or a later time. The follower therefore reads
again what it has read in the last seconds of real time, and leaves out the lines that it knows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from fnkit.client.loki import MAX_LINES, LogClient, LogLine
from fnkit.logs.levels import LeveledLine, LevelReader, read_levels
from fnkit.logs.query import LogSelection, build_query

_PLATFORM_OVERLAP_SECONDS: Final = 5.0
"""The platform writes a line at once, or about a request within a tenth of a second."""

_COCKPIT_OVERLAP_SECONDS: Final = 60.0  # assumed: lines pass through a pipeline

FunctionIds = Callable[[], list[str]]


class LogReader:
    """Reads the selected lines of some functions.

    Args:
        client: The client of the log server.
        function_ids: Returns the IDs of the functions, which may change while a follower runs.
        selection: The lines to return.
    """

    def __init__(self, client: LogClient, function_ids: FunctionIds, selection: LogSelection) -> None:
        self._client = client
        self._function_ids = function_ids
        self._selection = selection

    @property
    def is_platform(self) -> bool:
        """Whether the local platform serves the logs."""
        return self._client.server.is_platform

    def fetch(self, start: int, end: int | None, limit: int, *, newest_first: bool = False) -> list[LogLine]:
        """Return one page of lines, oldest first and without regard to their level; no functions have none."""
        ids = self._function_ids()
        if not ids:
            return []
        query = build_query(ids, self._selection, is_platform=self.is_platform)
        return self._client.query_range(query, start=start, end=end, limit=limit, newest_first=newest_first)

    def select(self, lines: list[LogLine], levels: LevelReader) -> list[LeveledLine]:
        """Return the selected ones of the next lines."""
        return [one for one in read_levels(lines, levels) if self._selection.includes(one.line, one.level)]

    def read_newest(self, start: int, count: int) -> tuple[list[LeveledLine], list[LogLine]]:
        """Return the newest selected lines, and every line that was read for that.

        Args:
            start: Older lines are not looked at, in Unix nanoseconds.
            count: Maximum number of selected lines.
        """
        read: list[LogLine] = []
        end: int | None = None
        while count > 0:
            page = self.fetch(start, end, MAX_LINES if read else min(MAX_LINES, max(100, count)), newest_first=True)
            read = page + read
            selected = self.select(read, LevelReader())
            if not page or len(selected) >= count:
                return selected[-count:], read
            end = page[0].time
        return [], []

    def read_since(self, start: int) -> Iterator[LogLine]:
        """Yield all lines from a point in time on, in pages, without regard to their level."""
        known_at_start: set[LogLine] = set()
        while page := self.fetch(start, None, MAX_LINES):
            yield from (line for line in page if line not in known_at_start)
            if len(page) < MAX_LINES:
                return
            # The next page begins with the lines of the last time, of which this one may lack some.
            last = page[-1].time
            known_at_start = {line for line in page if line.time == last}
            start = last if page[0].time < last else last + 1


class LineFollower:
    """Returns new lines, each once.

    Args:
        reader: Reads the lines.
        start: Lines from this time on are new, in Unix nanoseconds.
        known: Lines that were shown already.
        seconds: Returns the real time by which the overlap is measured.
    """

    def __init__(
        self,
        reader: LogReader,
        start: int,
        known: list[LogLine],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._start = start
        self._known = set(known)
        self._seconds = seconds
        self._overlap = _PLATFORM_OVERLAP_SECONDS if reader.is_platform else _COCKPIT_OVERLAP_SECONDS
        self._newest: deque[tuple[float, int]] = deque()

    @property
    def is_platform(self) -> bool:
        """Whether the local platform serves the logs."""
        return self._reader.is_platform

    def read_new(self) -> list[LogLine]:
        """Return the lines that were stored since the last call, in order of time.

        Raises:
            LogsUnavailable: The server cannot be reached. The next call continues.
            ApiError: The server rejects the request.
        """
        now = self._seconds()
        found = [line for line in self._reader.read_since(self._start) if line not in self._known]
        self._known.update(found)
        if found:
            newest = max(found[-1].time, self._newest[-1][1] if self._newest else self._start)
            self._newest.append((now, newest))
        self._forget(now - self._overlap)
        return found

    def _forget(self, before: float) -> None:
        """Start the next read at the newest time that was known before a moment."""
        moved = False
        while self._newest and self._newest[0][0] <= before:
            self._start = self._newest.popleft()[1]
            moved = True
        if moved:
            self._known = {line for line in self._known if line.time >= self._start}
