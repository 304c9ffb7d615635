"""Follows logs: first the newest existing lines, then new ones as they are written.

Segments and build logs are polled. A position records how far a function was read and remains valid when files are
rotated; lines of a file that was deleted before it was read are lost, and deleted segments are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.logs.build_logs import (
    BUILD_FILE,
    BuildLogPosition,
    build_log_end,
    read_build_lines_after,
)
from fnkit.platform.control.logs.query import LineCollector, LogQueries
from fnkit.platform.control.logs.results import StreamResult
from fnkit.platform.control.logs.segments import (
    CHUNK_BYTES,
    END_OF_TIME,
    SegmentPosition,
    TimeSpan,
    line_time,
    log_end,
    open_segment,
    segment_numbers,
)
from fnkit.platform.control.logs.sources import (
    LogSource,
    build_entry,
    encoded_texts,
    merge_by_time,
    parse_entry,
    read_entries,
    select_streams,
)
from fnkit.platform.logql.entry import LogEntry
from fnkit.platform.logql.pipeline import Step, compile_pipeline, required_texts, selector_predicate
from fnkit.platform.logql.syntax import LogQuery
from fnkit.platform.model.log_record import segment_name

_MAX_LINE_BYTES: Final = 8 * CHUNK_BYTES  # a line of 64 KiB with every character escaped in JSON

MAX_TAILS: Final = 10
"""Maximum number of simultaneous followers; Loki's default."""
_POLL_INTERVAL: Final = 0.2  # real time, not platform time
_POLLS_PER_REFRESH: Final = 5  # polls after which new and deleted functions are looked up
_MAX_BYTES_PER_POLL: Final = 1024 * 1024  # per function; the rest follows in the next poll


class FollowPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The position up to which the log of a function was read, in its segments and in its build logs."""

    segment: int = 0
    offset: int = 0
    build_inode: int = 0
    build_offset: int = 0


_START_POSITION: Final = FollowPosition()


def _end_position(folder: Path) -> FollowPosition:
    """Return the position after the last line of a function."""
    position, build = log_end(folder), build_log_end(folder)
    return FollowPosition(
        segment=position.segment, offset=position.offset, build_inode=build.inode, build_offset=build.offset
    )


class LogFollower:
    """Reads the lines of a function that were written since the last read.

    Attributes:
        source: The function.
        position: The position of the next line.
        lost_segments: The number of segments that retention deleted before they were read.
    """

    def __init__(self, source: LogSource, position: FollowPosition = _START_POSITION) -> None:
        self.source = source
        self.position = position
        self.lost_segments = 0

    def has_more(self) -> bool:
        """Return whether there may be new lines, which costs at most three ``stat`` calls."""
        folder, position = self.source.folder, self.position
        if position.segment == 0:
            return bool(segment_numbers(folder)) or (_file_size(folder / BUILD_FILE) or 0) != position.build_offset
        written = _file_size(folder / segment_name(position.segment))
        return (
            written != position.offset
            or _file_size(folder / segment_name(position.segment + 1)) is not None
            or (_file_size(folder / BUILD_FILE) or 0) != position.build_offset
        )

    def read(self, size: int) -> list[LogEntry]:
        """Return the next entries and advance the position. Blocks on disk I/O.

        Args:
            size: Stop after about this many bytes, and at the earliest after a complete line.
        """
        entries = self._read_build_entries()
        remaining = size
        while remaining > 0 and (raw := self._read_next_lines(remaining)) is not None:
            remaining -= len(raw)
            for line in raw.split(b"\n"):
                time = line_time(line)
                if time is not None and (entry := parse_entry(self.source, time, line)) is not None:
                    entries.append(entry)
        return entries

    def _read_build_entries(self) -> list[LogEntry]:
        before = BuildLogPosition(self.position.build_inode, self.position.build_offset)
        lines, after = read_build_lines_after(self.source.folder, before)
        if after != before:
            self.position = msgspec.structs.replace(
                self.position, build_inode=after.inode, build_offset=after.offset
            )
        return [build_entry(self.source, line) for line in lines]

    def _read_next_lines(self, size: int) -> bytes | None:
        """Return complete lines and advance the position; return ``None`` at the end of the log.

        At the end of a finished segment, move to the next one and return ``b""``.
        """
        numbers = segment_numbers(self.source.folder)
        if not numbers:
            return None
        if self.position.segment not in numbers:
            newer = [number for number in numbers if number > self.position.segment]
            if not newer:
                return None
            if self.position.segment:
                self.lost_segments += max(1, newer[0] - self.position.segment - 1)
            self._move_to(newer[0], 0)
        # The list of segments must be older than the read: the data plane creates a segment only after it has
        # finished the one before. If the next one was listed, this read sees all of the current one. The other
        # order could skip lines that were written between the read and the listing.
        following = next((number for number in numbers if number > self.position.segment), None)
        start = self.position.offset
        with open_segment(self.source.folder, self.position.segment) as (file, _):
            raw = file.read(start, start + max(size, _MAX_LINE_BYTES))
        cut = raw.rfind(b"\n") + 1
        if cut:
            self._move_to(self.position.segment, start + cut)
            return raw[:cut]
        if following is None:
            return None
        self._move_to(following, 0)
        return b""

    def _move_to(self, segment: int, offset: int) -> None:
        self.position = msgspec.structs.replace(self.position, segment=segment, offset=offset)


def _file_size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRequest:
    """The parameters of a tail.

    Attributes:
        query: The lines to follow.
        start: Start of the existing lines in Unix nanoseconds.
        limit: Maximum number of existing lines.
        categorized: Whether to separate metadata and extracted labels from stream labels.
    """

    query: LogQuery
    start: int
    limit: int
    categorized: bool = False


async def tail(
    queries: LogQueries, project_id: str | None, request: TailRequest
) -> AsyncIterator[list[StreamResult]]:
    """Yield streams with new lines, endlessly; each line once, and the lines of a function in order."""
    step = compile_pipeline(request.query.stages)
    sources = queries.sources(project_id, request.query)
    # The ends are fixed before existing lines are read: existing lines stop there and followers start there, so no
    # line is missed or repeated.
    ends = await asyncio.to_thread(lambda: {source.name: _end_position(source.folder) for source in sources})
    if streams := await asyncio.to_thread(_existing_lines, request, step, sources, ends):
        yield streams
    followers = {source.name: LogFollower(source, ends[source.name]) for source in sources}
    polls = 0
    while True:
        await asyncio.sleep(_POLL_INTERVAL)
        polls += 1
        if not polls % _POLLS_PER_REFRESH:
            # A new function is followed from the beginning of its log.
            sources = queries.sources(project_id, request.query)
            followers = {source.name: followers.get(source.name) or LogFollower(source) for source in sources}
        if streams := await asyncio.to_thread(_new_lines, request, step, list(followers.values())):
            yield streams


def _existing_lines(
    request: TailRequest, step: Step, sources: list[LogSource], ends: dict[str, FollowPosition]
) -> list[StreamResult]:
    """Return the newest lines before the given end positions, oldest first."""
    required_bytes = encoded_texts(required_texts(request.query.stages))
    parts = []
    for selection in select_streams(sources, request.query.selector):
        end = ends[selection.source.name]
        builds = BuildLogPosition(end.build_inode, end.build_offset)
        span = TimeSpan(request.start, END_OF_TIME, SegmentPosition(end.segment, end.offset), builds)
        parts.append(read_entries(selection, span, required_bytes, backward=True))
    selected: list[LogEntry] = []
    for entry in merge_by_time([*parts], backward=True) if parts else ():
        if step(entry):
            selected.append(entry)
        if len(selected) == request.limit:
            break
    return _group_by_stream(request, reversed(selected))


def _new_lines(request: TailRequest, step: Step, followers: list[LogFollower]) -> list[StreamResult]:
    """Return the lines written since the last poll."""
    is_selected = selector_predicate(request.query.selector)
    entries = [
        entry
        for follower in followers
        if follower.has_more()
        for entry in follower.read(_MAX_BYTES_PER_POLL)
        if is_selected(entry.stream) and step(entry)
    ]
    return _group_by_stream(request, sorted(entries, key=attrgetter("time")))


def _group_by_stream(request: TailRequest, entries: Iterable[LogEntry]) -> list[StreamResult]:
    collector = LineCollector(categorized=request.categorized)
    for entry in entries:
        collector.add(entry)
    return collector.streams()
