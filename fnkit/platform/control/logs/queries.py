"""The operations of Loki's API: queries, labels, series and statistics.

They run in a pool of two threads, beside the event loop. A query has a time limit, ends early when its client
disconnects, and regularly yields the GIL to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Final, Literal, TypeAlias, TypeVar

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.logs.answers import (
    CATEGORIZED,
    IndexStats,
    QueryData,
    Stats,
    matrix,
    scalar,
    scalar_matrix,
    vector,
)
from fnkit.platform.control.logs.lines import LINES_MAX, choose_lines
from fnkit.platform.control.logs.presence import present_streams, sizes
from fnkit.platform.control.logs.reading import QueryWork
from fnkit.platform.control.logs.segments import Span
from fnkit.platform.control.logs.sources import LogSource, exact_function, log_sources, select
from fnkit.platform.logql.evaluation import evaluate
from fnkit.platform.logql.frames import Frame, Moments
from fnkit.platform.logql.parsing import parse_query, parse_selector
from fnkit.platform.logql.refusal import QueryRefused
from fnkit.platform.logql.syntax import LogQuery, Matcher, MetricQuery, Query

__all__ = ["LINES_MAX", "LogQueries", "RangeRequest", "TooManyQueries"]

T = TypeVar("T")
Direction: TypeAlias = Literal["forward", "backward"]

SERIES_MAX: Final = 500
POINTS_A_SERIES_MAX: Final = 11_000
_THREADS: Final = 2
_WAITING_MAX: Final = 64


class TooManyQueries(QueryRefused):
    """Too many queries are running or queued. Loki responds with status 429."""

    default_code = "too-many-queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRequest:
    """A query over a time range. All times and durations are nanoseconds.

    Lines at ``end`` are excluded; numbers at ``end`` are included.

    Attributes:
        query: The LogQL query.
        start: Start of the range.
        end: End of the range.
        step: Distance between two points of a series.
        limit: Maximum number of lines.
        direction: Order of lines.
        interval: Minimum distance between two lines.
        categorized: Whether to separate metadata and extracted labels from stream labels.
    """

    query: str
    start: int
    end: int
    step: int
    limit: int
    direction: Direction
    interval: int = 0
    categorized: bool = False


class LogQueries:
    """Executes log queries for API callers.

    In every method, ``project_id`` limits the query to the functions of a project (``None``: all of them), and the
    caller sets ``cancelled`` to end the query early.
    """

    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="log query")
        self._under_way: set[Event] = set()

    def close(self) -> None:
        """Cancel all queries without waiting for their threads."""
        for cancelled in self._under_way:
            cancelled.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def sources(self, project_id: str | None, query: Query | tuple[Matcher, ...] | None = None) -> list[LogSource]:
        """Return the functions to read: those of the project, or only the one that the query names by id."""
        matchers = query.selector if isinstance(query, LogQuery) else query if isinstance(query, tuple) else ()
        return log_sources(self._context, project_id, exact_function(matchers))

    async def range(self, project_id: str | None, request: RangeRequest, cancelled: Event) -> QueryData:
        """Run a range query.

        Raises:
            QueryError: The query is invalid, has too many points or exceeds a limit.
        """
        query = parse_query(request.query)
        work = QueryWork(self.sources(project_id, query), cancelled)
        if isinstance(query, LogQuery):
            return await self._in_thread(lambda: _lines(query, request, work), cancelled)
        steps = _moments(request)
        return await self._in_thread(lambda: _numbers(query, steps, work, instant=False), cancelled)

    async def instant(self, project_id: str | None, text: str, time: int, cancelled: Event) -> QueryData:
        """Run an instant query.

        Raises:
            QueryError: The query is invalid, returns lines instead of numbers or exceeds a limit.
        """
        query = parse_query(text)
        if isinstance(query, LogQuery):
            raise QueryRefused(
                "log queries are not supported as an instant query type, please change your query to a range query "
                "type"
            )
        work = QueryWork(self.sources(project_id), cancelled)
        steps = Moments(time, time, 1)
        return await self._in_thread(lambda: _numbers(query, steps, work, instant=True), cancelled)

    async def series(
        self, project_id: str | None, selectors: list[str], span: Span, cancelled: Event
    ) -> list[dict[str, str]]:
        """Return the labels of the streams that have lines in a time span.

        Args:
            project_id: The project, or ``None``.
            selectors: Return the streams that match any of these, or all streams if there are none.
            span: The time span.
            cancelled: Set to end the query early.
        """
        parsed = [parse_selector(text) for text in selectors] or [()]
        sources = self.sources(project_id)
        selections = [selection for matchers in parsed for selection in select(sources, matchers)]

        def work() -> list[dict[str, str]]:
            found: dict[str, set[str]] = {}
            for selection in selections:
                if cancelled.is_set():
                    break
                active = present_streams(selection.source.folder, selection.streams, span)
                found.setdefault(selection.source.function_id, set()).update(active)
            labels = {source.function_id: source.labels for source in sources}
            return [
                dict(labels[function_id][stream])
                for function_id in sorted(found)
                for stream in sorted(found[function_id])
            ]

        return await self._in_thread(work, cancelled)

    async def stats(self, project_id: str | None, selector: str, span: Span, cancelled: Event) -> IndexStats:
        """Return the number of streams, lines and bytes that a selector matches in a time span."""
        selections = select(self.sources(project_id), parse_selector(selector))
        return await self._in_thread(lambda: sizes(selections, span), cancelled)

    async def _in_thread(self, work: Callable[[], T], cancelled: Event) -> T:
        if len(self._under_way) >= _WAITING_MAX:
            raise TooManyQueries("too many outstanding requests")
        self._under_way.add(cancelled)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way.discard(cancelled)


def _lines(query: LogQuery, request: RangeRequest, work: QueryWork) -> QueryData:
    chosen = choose_lines(
        query,
        work.read_in_order(query, Span(request.start, request.end), backward=request.direction == "backward"),
        limit=request.limit,
        interval=request.interval,
        categorized=request.categorized,
    )
    stats = Stats.of(lines=work.lines, size=work.bytes, returned=chosen.count, seconds=work.seconds)
    flags = [CATEGORIZED] if request.categorized else []
    return QueryData(result_type="streams", encoding_flags=flags, result=chosen.streams, stats=stats)


def _numbers(query: MetricQuery, steps: Moments, work: QueryWork, *, instant: bool) -> QueryData:
    result = evaluate(query, steps, work.read, work.spend)
    stats = Stats.of(lines=work.lines, size=work.bytes, returned=0, seconds=work.seconds)
    if isinstance(result, float):
        if instant:
            return QueryData(result_type="scalar", result=scalar(result, steps), stats=stats)
        return QueryData(result_type="matrix", result=scalar_matrix(result, steps), stats=stats)
    _check_series(result)
    if instant:
        return QueryData(result_type="vector", result=vector(result, steps), stats=stats)
    return QueryData(result_type="matrix", result=matrix(result, steps), stats=stats)


def _check_series(series_list: Frame) -> None:
    if len(series_list) > SERIES_MAX:
        raise QueryRefused(
            f"maximum number of series ({SERIES_MAX}) reached for a single query; consider reducing query "
            "cardinality by adding more specific stream selectors, reducing the time range, or aggregating results "
            "with functions like sum(), count() or topk()"
        )


def _moments(request: RangeRequest) -> Moments:
    steps = Moments(request.start, request.end, request.step)
    if steps.count > POINTS_A_SERIES_MAX:
        raise QueryRefused(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter"
        )
    return steps
