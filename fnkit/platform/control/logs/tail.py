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
from fnkit.platform.control.logs.build_lines import BuildPlace
from fnkit.platform.control.logs.entries import entries_of, in_order, needles_for
from fnkit.platform.control.logs.following import Followed, Follower, current_end
from fnkit.platform.control.logs.lines import Gathering
from fnkit.platform.control.logs.queries import LogQueries
from fnkit.platform.control.logs.segments import Place, Span
from fnkit.platform.control.logs.sources import LogSource, select
from fnkit.platform.logql.entries import Entry
from fnkit.platform.logql.filters import selects
from fnkit.platform.logql.pipeline import Step, pipeline, required_texts
from fnkit.platform.logql.syntax import LogQuery

__all__ = ["TAILS_MAX", "TailRequest", "tail"]

TAILS_MAX: Final = 10
"""Maximum number of simultaneous followers; Loki's default."""

_LOOK_SECONDS: Final = 0.2  # real time, not platform time
_SOURCES_EVERY: Final = 5  # polls after which new and deleted functions are looked up
_BYTES_A_LOOK: Final = 1024 * 1024  # per function; the rest follows in the next poll
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
    step = pipeline(request.query.stages)
    sources = queries.sources(project_id, request.query)
    # The ends are fixed before existing lines are read: existing lines stop there and followers start there, so no
    # line is missed or repeated.
    ends = await asyncio.to_thread(lambda: {source.function_id: current_end(source.folder) for source in sources})
    if streams := await asyncio.to_thread(_there, request, step, sources, ends):
        yield streams
    followers = {source.function_id: Follower(source, ends[source.function_id]) for source in sources}
    polls = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        polls += 1
        if not polls % _SOURCES_EVERY:
            # A new function is followed from the beginning of its log.
            sources = queries.sources(project_id, request.query)
            followers = {
                source.function_id: followers.get(source.function_id) or Follower(source) for source in sources
            }
        if streams := await asyncio.to_thread(_new, request, step, list(followers.values())):
            yield streams


def _there(
    request: TailRequest, step: Step, sources: list[LogSource], ends: dict[str, Followed]
) -> list[StreamResult]:
    """Return the newest lines before the given end positions, oldest first."""
    required_bytes = needles_for(required_texts(request.query.stages))
    parts = []
    for selection in select(sources, request.query.selector):
        end = ends[selection.source.function_id]
        builds = BuildPlace(end.build_inode, end.build_offset)
        span = Span(request.start, _END_OF_TIME, Place(end.segment, end.offset), builds)
        parts.append(entries_of(selection, span, required_bytes, backward=True))
    selected: list[Entry] = []
    for entry in in_order([*parts], backward=True) if parts else ():
        if step(entry):
            selected.append(entry)
        if len(selected) == request.limit:
            break
    return _gathered(request, reversed(selected))


def _new(request: TailRequest, step: Step, followers: list[Follower]) -> list[StreamResult]:
    """Return the lines written since the last poll."""
    is_selected = selects(request.query.selector)
    entries = [
        entry
        for follower in followers
        if follower.has_more()
        for entry in follower.read(_BYTES_A_LOOK)
        if is_selected(entry.stream) and step(entry)
    ]
    return _gathered(request, sorted(entries, key=attrgetter("time")))


def _gathered(request: TailRequest, entries: Iterable[Entry]) -> list[StreamResult]:
    collector = Gathering(categorized=request.categorized)
    for entry in entries:
        collector.add(entry)
    return collector.streams()
