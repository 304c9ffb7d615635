"""New lines as they come, to one who follows: first the newest that are there, then each as it is written."""

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
"""At once; Loki's own default."""

_LOOK_SECONDS: Final = 0.2  # real
_SOURCES_EVERY: Final = 5  # looks
_BYTES_A_LOOK: Final = 1024 * 1024  # of a function; the rest comes with the next look
_END_OF_TIME: Final = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRequest:
    """What to follow. start: Unix nanoseconds; limit: how many lines that are there already come first."""

    query: LogQuery
    start: int
    limit: int
    categorized: bool = False


async def tail(
    queries: LogQueries, project_id: str | None, request: TailRequest
) -> AsyncIterator[list[StreamResult]]:
    """Yield streams with new lines, for ever; each line once, those of one function in order."""
    step = pipeline(request.query.stages)
    sources = queries.sources(project_id, request.query)
    ends = await asyncio.to_thread(lambda: {source.function_id: current_end(source.folder) for source in sources})
    if streams := await asyncio.to_thread(_there, request, step, sources, ends):
        yield streams
    followers = {source.function_id: Follower(source, ends[source.function_id]) for source in sources}
    looks = 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        looks += 1
        if not looks % _SOURCES_EVERY:
            now = queries.sources(project_id, request.query)
            followers = {one.function_id: followers.get(one.function_id) or Follower(one) for one in now}
        if streams := await asyncio.to_thread(_new, request, step, list(followers.values())):
            yield streams


def _there(
    request: TailRequest, step: Step, sources: list[LogSource], ends: dict[str, Followed]
) -> list[StreamResult]:
    """Return the newest lines that were there when following began, oldest first."""
    needles = needles_for(required_texts(request.query.stages))
    parts = []
    for selection in select(sources, request.query.selector):
        end = ends[selection.source.function_id]
        builds = BuildPlace(end.build_inode, end.build_offset)
        span = Span(request.start, _END_OF_TIME, Place(end.segment, end.offset), builds)
        parts.append(entries_of(selection, span, needles, backward=True))
    chosen: list[Entry] = []
    for entry in in_order([*parts], backward=True) if parts else ():
        if step(entry):
            chosen.append(entry)
        if len(chosen) == request.limit:
            break
    return _gathered(request, reversed(chosen))


def _new(request: TailRequest, step: Step, followers: list[Follower]) -> list[StreamResult]:
    """Return what was written since the last look."""
    chosen = selects(request.query.selector)
    entries = [
        entry
        for follower in followers
        if follower.has_more()
        for entry in follower.read(_BYTES_A_LOOK)
        if chosen(entry.stream) and step(entry)
    ]
    return _gathered(request, sorted(entries, key=attrgetter("time")))


def _gathered(request: TailRequest, entries: Iterable[Entry]) -> list[StreamResult]:
    gathering = Gathering(categorized=request.categorized)
    for entry in entries:
        gathering.add(entry)
    return gathering.streams()
