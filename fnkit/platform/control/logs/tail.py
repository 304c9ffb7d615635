"""Follows logs: first the newest existing lines, then new ones as they are written.

Segments and build logs are polled. A position records how far a function was read and remains valid when files are
rotated; lines of a file that was deleted before it was read are lost, and deleted segments are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from fnkit.platform.control.logs.answers import StreamResult
from fnkit.platform.control.logs.build_lines import BuildLogPosition
from fnkit.platform.control.logs.entries import read_entries, merge_by_time, encoded_texts
from fnkit.platform.control.logs.following import FollowPosition, LogFollower, end_position
from fnkit.platform.control.logs.lines import LineCollector
from fnkit.platform.control.logs.queries import LogQueries
from fnkit.platform.control.logs.segments import SegmentPosition, TimeSpan
from fnkit.platform.control.logs.sources import LogSource, select_streams
from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.logql.filters import selector_predicate
from fnkit.platform.logql.pipeline import Step, compile_pipeline, required_texts
from fnkit.platform.logql.syntax import LogQuery

__all__ = ["MAX_TAILS", "TailRequest", "tail"]

MAX_TAILS: Final = 10
"""Maximum number of simultaneous followers; Loki's default."""

_POLL_INTERVAL: Final = 0.2  # real time, not platform time
_POLLS_PER_REFRESH: Final = 5  # polls after which new and deleted functions are looked up
_MAX_BYTES_PER_POLL: Final = 1024 * 1024  # per function; the rest follows in the next poll
_END_OF_TIME: Final = 2**63


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
    ends = await asyncio.to_thread(lambda: {source.function_id: end_position(source.folder) for source in sources})
    if streams := await asyncio.to_thread(_existing_lines, request, step, sources, ends):
        yield streams
    followers = {source.function_id: LogFollower(source, ends[source.function_id]) for source in sources}
    polls = 0
    while True:
        await asyncio.sleep(_POLL_INTERVAL)
        polls += 1
        if not polls % _POLLS_PER_REFRESH:
            # A new function is followed from the beginning of its log.
            sources = queries.sources(project_id, request.query)
            followers = {
                source.function_id: followers.get(source.function_id) or LogFollower(source) for source in sources
            }
        if streams := await asyncio.to_thread(_new_lines, request, step, list(followers.values())):
            yield streams


def _existing_lines(
    request: TailRequest, step: Step, sources: list[LogSource], ends: dict[str, FollowPosition]
) -> list[StreamResult]:
    """Return the newest lines before the given end positions, oldest first."""
    required_bytes = encoded_texts(required_texts(request.query.stages))
    parts = []
    for selection in select_streams(sources, request.query.selector):
        end = ends[selection.source.function_id]
        builds = BuildLogPosition(end.build_inode, end.build_offset)
        span = TimeSpan(request.start, _END_OF_TIME, SegmentPosition(end.segment, end.offset), builds)
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
