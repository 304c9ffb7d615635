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
    CATEGORIZE_LABELS,
    IndexStats,
    QueryData,
    QueryStats,
    to_matrix,
    to_scalar,
    to_scalar_matrix,
    to_vector,
)
from fnkit.platform.control.logs.lines import MAX_LINES, select_lines
from fnkit.platform.control.logs.presence import active_streams, count_entries
from fnkit.platform.control.logs.reading import QueryExecution
from fnkit.platform.control.logs.segments import TimeSpan
from fnkit.platform.control.logs.sources import LogSource, selected_function_id, log_sources, select_streams
from fnkit.platform.logql.evaluation import evaluate
from fnkit.platform.logql.frames import SeriesList, TimeSteps
from fnkit.platform.logql.parsing import parse_query, parse_selector
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.syntax import LogQuery, Matcher, MetricQuery, Query

__all__ = ["MAX_LINES", "LogQueries", "RangeRequest", "TooManyQueries"]

T = TypeVar("T")
Direction: TypeAlias = Literal["forward", "backward"]

MAX_SERIES: Final = 500
MAX_POINTS_PER_SERIES: Final = 11_000
_MAX_THREADS: Final = 2
_MAX_PENDING_QUERIES: Final = 64


class TooManyQueries(QueryError):
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
        self._threads = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="log query")
        self._pending: set[Event] = set()

    def close(self) -> None:
        """Cancel all queries without waiting for their threads."""
        for cancelled in self._pending:
            cancelled.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def sources(self, project_id: str | None, query: Query | tuple[Matcher, ...] | None = None) -> list[LogSource]:
        """Return the functions to read: those of the project, or only the one that the query names by id."""
        matchers = query.selector if isinstance(query, LogQuery) else query if isinstance(query, tuple) else ()
        return log_sources(self._context, project_id, selected_function_id(matchers))

    async def query_range(self, project_id: str | None, request: RangeRequest, cancelled: Event) -> QueryData:
        """Run a range query.

        Raises:
            QueryError: The query is invalid, has too many points or exceeds a limit.
        """
        query = parse_query(request.query)
        work = QueryExecution(self.sources(project_id, query), cancelled)
        if isinstance(query, LogQuery):
            return await self._run_in_thread(lambda: _run_log_query(query, request, work), cancelled)
        steps = _evaluation_steps(request)
        return await self._run_in_thread(lambda: _run_metric_query(query, steps, work, instant=False), cancelled)

    async def query_instant(self, project_id: str | None, text: str, time: int, cancelled: Event) -> QueryData:
        """Run an instant query.

        Raises:
            QueryError: The query is invalid, returns lines instead of numbers or exceeds a limit.
        """
        query = parse_query(text)
        if isinstance(query, LogQuery):
            raise QueryError(
                "log queries are not supported as an instant query type, please change your query to a range query "
                "type"
            )
        work = QueryExecution(self.sources(project_id), cancelled)
        steps = TimeSteps(time, time, 1)
        return await self._run_in_thread(lambda: _run_metric_query(query, steps, work, instant=True), cancelled)

    async def list_series(
        self, project_id: str | None, selectors: list[str], span: TimeSpan, cancelled: Event
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
        selections = [selection for matchers in parsed for selection in select_streams(sources, matchers)]

        def work() -> list[dict[str, str]]:
            found: dict[str, set[str]] = {}
            for selection in selections:
                if cancelled.is_set():
                    break
                active = active_streams(selection.source.folder, selection.streams, span)
                found.setdefault(selection.source.function_id, set()).update(active)
            labels = {source.function_id: source.labels for source in sources}
            return [
                dict(labels[function_id][stream])
                for function_id in sorted(found)
                for stream in sorted(found[function_id])
            ]

        return await self._run_in_thread(work, cancelled)

    async def index_stats(
        self, project_id: str | None, selector: str, span: TimeSpan, cancelled: Event
    ) -> IndexStats:
        """Return the number of streams, lines and bytes that a selector matches in a time span."""
        selections = select_streams(self.sources(project_id), parse_selector(selector))
        return await self._run_in_thread(lambda: count_entries(selections, span), cancelled)

    async def _run_in_thread(self, work: Callable[[], T], cancelled: Event) -> T:
        if len(self._pending) >= _MAX_PENDING_QUERIES:
            raise TooManyQueries("too many outstanding requests")
        self._pending.add(cancelled)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pending.discard(cancelled)


def _run_log_query(query: LogQuery, request: RangeRequest, work: QueryExecution) -> QueryData:
    chosen = select_lines(
        query,
        work.read_in_order(query, TimeSpan(request.start, request.end), backward=request.direction == "backward"),
        limit=request.limit,
        interval=request.interval,
        categorized=request.categorized,
    )
    stats = QueryStats.from_counts(
        lines=work.lines_read, size=work.bytes_read, returned=chosen.count, seconds=work.elapsed
    )
    flags = [CATEGORIZE_LABELS] if request.categorized else []
    return QueryData(result_type="streams", encoding_flags=flags, result=chosen.streams, stats=stats)


def _run_metric_query(query: MetricQuery, steps: TimeSteps, work: QueryExecution, *, instant: bool) -> QueryData:
    result = evaluate(query, steps, work.read, work.charge)
    stats = QueryStats.from_counts(lines=work.lines_read, size=work.bytes_read, returned=0, seconds=work.elapsed)
    if isinstance(result, float):
        if instant:
            return QueryData(result_type="scalar", result=to_scalar(result, steps), stats=stats)
        return QueryData(result_type="matrix", result=to_scalar_matrix(result, steps), stats=stats)
    _check_series_count(result)
    if instant:
        return QueryData(result_type="vector", result=to_vector(result, steps), stats=stats)
    return QueryData(result_type="matrix", result=to_matrix(result, steps), stats=stats)


def _check_series_count(series_list: SeriesList) -> None:
    if len(series_list) > MAX_SERIES:
        raise QueryError(
            f"maximum number of series ({MAX_SERIES}) reached for a single query; consider reducing query "
            "cardinality by adding more specific stream selectors, reducing the time range, or aggregating results "
            "with functions like sum(), count() or topk()"
        )


def _evaluation_steps(request: RangeRequest) -> TimeSteps:
    steps = TimeSteps(request.start, request.end, request.step)
    if steps.count > MAX_POINTS_PER_SERIES:
        raise QueryError(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter"
        )
    return steps
