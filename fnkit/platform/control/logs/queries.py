"""The operations behind Loki's API: queries, labels, series. They work in threads, two at a time."""

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
    """More queries wait than will be worked on in reasonable time; Loki answers that with 429."""

    default_code = "too-many-queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRequest:
    """A query over a span of time, in nanoseconds; lines at its end are left out, numbers are not."""

    query: str
    start: int
    end: int
    step: int
    limit: int
    direction: Direction
    interval: int = 0
    categorized: bool = False


class LogQueries:
    """Everything that may be asked of logs. ``project_id`` is what the caller's key is bound to, or ``None``."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="log query")
        self._under_way: set[Event] = set()

    def close(self) -> None:
        """End what is under way."""
        for cancelled in self._under_way:
            cancelled.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def sources(self, project_id: str | None, query: Query | tuple[Matcher, ...] | None = None) -> list[LogSource]:
        """Return the functions whose logs may be read, only the one that a query names where it names one."""
        matchers = query.selector if isinstance(query, LogQuery) else query if isinstance(query, tuple) else ()
        return log_sources(self._context, project_id, exact_function(matchers))

    async def range(self, project_id: str | None, request: RangeRequest, cancelled: Event) -> QueryData:
        """Answer ``query_range``.

        Raises:
            QueryRefused: the query, or the span, or the work.
        """
        query = parse_query(request.query)
        work = QueryWork(self.sources(project_id, query), cancelled)
        if isinstance(query, LogQuery):
            return await self._in_thread(lambda: _lines(query, request, work), cancelled)
        moments = _moments(request)
        return await self._in_thread(lambda: _numbers(query, moments, work, instant=False), cancelled)

    async def instant(self, project_id: str | None, text: str, moment: int, cancelled: Event) -> QueryData:
        """Answer ``query``, at one moment.

        Raises:
            QueryRefused: also a query for lines, which have no moment.
        """
        query = parse_query(text)
        if isinstance(query, LogQuery):
            raise QueryRefused(
                "log queries are not supported as an instant query type, please change your query to a range query "
                "type"
            )
        work = QueryWork(self.sources(project_id), cancelled)
        moments = Moments(moment, moment, 1)
        return await self._in_thread(lambda: _numbers(query, moments, work, instant=True), cancelled)

    async def series(
        self, project_id: str | None, selectors: list[str], span: Span, cancelled: Event
    ) -> list[dict[str, str]]:
        """Return the labels of the streams that wrote something in a span; of any selector, or all without one."""
        wanted = [parse_selector(text) for text in selectors] or [()]
        sources = self.sources(project_id)
        selections = [selection for matchers in wanted for selection in select(sources, matchers)]

        def work() -> list[dict[str, str]]:
            found: dict[str, set[str]] = {}
            for selection in selections:
                if cancelled.is_set():
                    break
                there = present_streams(selection.source.folder, selection.streams, span)
                found.setdefault(selection.source.function_id, set()).update(there)
            labels = {source.function_id: source.labels for source in sources}
            return [dict(labels[one][stream]) for one in sorted(found) for stream in sorted(found[one])]

        return await self._in_thread(work, cancelled)

    async def stats(self, project_id: str | None, selector: str, span: Span, cancelled: Event) -> IndexStats:
        """Return how much there is of a selector in a span."""
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


def _numbers(query: MetricQuery, moments: Moments, work: QueryWork, *, instant: bool) -> QueryData:
    made = evaluate(query, moments, work.read, work.spend)
    stats = Stats.of(lines=work.lines, size=work.bytes, returned=0, seconds=work.seconds)
    if isinstance(made, float):
        if instant:
            return QueryData(result_type="scalar", result=scalar(made, moments), stats=stats)
        return QueryData(result_type="matrix", result=scalar_matrix(made, moments), stats=stats)
    _check_series(made)
    if instant:
        return QueryData(result_type="vector", result=vector(made, moments), stats=stats)
    return QueryData(result_type="matrix", result=matrix(made, moments), stats=stats)


def _check_series(frame: Frame) -> None:
    if len(frame) > SERIES_MAX:
        raise QueryRefused(
            f"maximum number of series ({SERIES_MAX}) reached for a single query; consider reducing query "
            "cardinality by adding more specific stream selectors, reducing the time range, or aggregating results "
            "with functions like sum(), count() or topk()"
        )


def _moments(request: RangeRequest) -> Moments:
    moments = Moments(request.start, request.end, request.step)
    if moments.count > POINTS_A_SERIES_MAX:
        raise QueryRefused(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter"
        )
    return moments
