"""Reads lines: the newest ones, those since a point in time, and new ones as they are written.

A follower asks again and again, since requests work through every proxy and a restart of the server ends no
connection. A server may store a line later than others with the same or a later time. The follower therefore reads
again what it has read in the last seconds of real time, and leaves out the lines that it knows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from fnkit.client.loki import MAX_LINES, LogClient, LogLine
from fnkit.errors import ApiError
from fnkit.logs.levels import LeveledLine, LevelReader, read_levels
from fnkit.logs.query import LogSelection, build_query

_PLATFORM_OVERLAP_SECONDS: Final = 5.0
"""The platform writes a line at once, or about a request within a tenth of a second."""

_COCKPIT_OVERLAP_SECONDS: Final = 60.0  # assumed: lines pass through a pipeline

_FIRST_PAGE: Final = 100  # lines; more than that only if few of them are selected

FunctionIds = Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class _Page:
    """Lines, oldest first and without regard to their level.

    Attributes:
        lines: The lines.
        limit: The number of lines that was asked for.
    """

    lines: list[LogLine]
    limit: int

    @property
    def is_last(self) -> bool:
        """Whether there are no more lines."""
        return len(self.lines) < self.limit


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

    def _fetch(self, start: int, end: int | None, limit: int, *, newest_first: bool = False) -> _Page:
        """Return one page of lines; a smaller one if the lines are too large for one response."""
        ids = self._function_ids()
        if not ids:
            return _Page([], limit)
        query = build_query(ids, self._selection, is_platform=self.is_platform)
        while True:
            try:
                lines = self._client.query_range(
                    query, start=start, end=end, limit=limit, newest_first=newest_first
                )
            except ApiError as error:
                if error.code != "response-too-large" or limit == 1:
                    raise
                limit = max(1, limit // 4)
            else:
                return _Page(lines, limit)

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
            limit = MAX_LINES if read else min(MAX_LINES, max(_FIRST_PAGE, count))
            page = self._fetch(start, end, limit, newest_first=True)
            read = page.lines + read
            selected = self.select(read, LevelReader())
            if page.is_last or len(selected) >= count:
                return selected[-count:], read
            end = page.lines[0].time
        return [], []

    def read_since(self, start: int) -> Iterator[LogLine]:
        """Yield all lines from a point in time on, in pages, without regard to their level."""
        known_at_start: set[LogLine] = set()
        limit = MAX_LINES
        while True:
            page = self._fetch(start, None, limit)
            limit = page.limit
            yield from (line for line in page.lines if line not in known_at_start)
            if page.is_last:
                return
            # The next page begins with the lines of the last time, of which this one may lack some.
            last = page.lines[-1].time
            known_at_start = {line for line in page.lines if line.time == last}
            start = last if page.lines[0].time < last else last + 1


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
