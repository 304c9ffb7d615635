"""The operations of Loki's API: queries, labels, series and statistics.

They run in a pool of two threads, beside the event loop. A query has a time limit, ends early when its client
disconnects, and regularly yields the GIL to the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Final, Literal, TypeAlias, TypeVar

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.logs.results import (
    CATEGORIZE_LABELS,
    IndexStats,
    LineMetadata,
    LineValue,
    QueryData,
    QueryStats,
    QuerySummary,
    StreamResult,
    to_matrix,
    to_scalar,
    to_vector,
)
from fnkit.platform.control.logs.segments import TimeSpan
from fnkit.platform.control.logs.sources import (
    LogSource,
    active_streams,
    count_entries,
    encoded_texts,
    log_sources,
    merge_by_time,
    read_entries,
    select_streams,
    selected_function_id,
)
from fnkit.platform.logql.entry import LogEntry, format_labels
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.metrics import evaluate
from fnkit.platform.logql.parser import parse_query, parse_selector
from fnkit.platform.logql.pipeline import compile_pipeline, required_texts
from fnkit.platform.logql.syntax import LogQuery, Matcher, MetricQuery, Query
from fnkit.platform.logql.windows import Series, TimeSteps

MAX_LINES: Final = 5000
"""Loki's default of ``max_entries_limit_per_query``."""
_MAX_RESULT_BYTES: Final = 64 * 1024 * 1024

_QUERY_TIMEOUT: Final = 60.0  # real time, not platform time; Loki's default as well
_LINES_PER_YIELD: Final = 1000
_NUMBERS_PER_YIELD: Final = 100_000

T = TypeVar("T")
Direction: TypeAlias = Literal["forward", "backward"]
_MAX_SERIES: Final = 500
_MAX_POINTS_PER_SERIES: Final = 11_000
_MAX_THREADS: Final = 2
_MAX_PENDING_QUERIES: Final = 64


class LineCollector:
    """Groups lines by stream.

    Args:
        categorized: Return metadata and extracted labels with each line, not as labels of its stream.

    Attributes:
        count: Number of lines.
        bytes: Size of these lines.
    """

    def __init__(self, *, categorized: bool) -> None:
        self.count = 0
        self.bytes = 0
        self._categorized = categorized
        self._streams: dict[str, StreamResult] = {}

    def add(self, entry: LogEntry) -> None:
        """Add a line to its stream."""
        self.count += 1
        self.bytes += len(entry.line)
        labels = entry.stream_labels() if self._categorized else entry.labels()
        value: LineValue = (str(entry.time), entry.line)
        if self._categorized:
            metadata = LineMetadata(structured_metadata=entry.metadata_labels(), parsed=entry.parsed_labels())
            value = (str(entry.time), entry.line, metadata)
        key = format_labels(labels)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = StreamResult(stream=labels, values=[])
        stream.values.append(value)

    def streams(self) -> list[StreamResult]:
        """Return the streams, sorted by labels."""
        return [self._streams[key] for key in sorted(self._streams)]


def _select_lines(
    query: LogQuery, entries: Iterable[LogEntry], *, limit: int, interval: int, categorized: bool
) -> LineCollector:
    """Return the first entries that pass the stages of a query.

    Args:
        query: The query.
        entries: The lines of the selector, in the order of the result.
        limit: The maximum number of lines.
        interval: The minimum distance between two lines in nanoseconds.
        categorized: Whether to separate metadata and extracted labels from stream labels.

    Raises:
        QueryError: The result is larger than 64 MiB.
    """
    step = compile_pipeline(query.stages)
    collector = LineCollector(categorized=categorized)
    last: int | None = None
    for entry in entries:
        if not step(entry) or (last is not None and abs(entry.time - last) < interval):
            continue
        last = entry.time
        collector.add(entry)
        if collector.bytes > _MAX_RESULT_BYTES:
            raise QueryError(
                f"the answer would be larger than {_MAX_RESULT_BYTES >> 20} MiB; ask for fewer lines (limit)"
            )
        if collector.count == limit:
            break
    return collector


class QueryTimedOut(QueryError):
    """The query exceeded the time limit. Loki responds with status 504."""

    default_code = "query-too-slow"


class QueryExecution:
    """Reads the lines of a single query and enforces its limits. Used by a single thread.

    Attributes:
        lines_read: The number of lines read so far.
        bytes_read: The size of these lines.
        started_at: When the query started, on the monotonic clock.
    """

    def __init__(self, sources: list[LogSource], cancelled: Event) -> None:
        """Start the execution, and with it the time limit.

        Args:
            sources: The functions that the query may read.
            cancelled: Set by another thread once the client has disconnected.
        """
        self.lines_read = 0
        self.bytes_read = 0
        self.started_at = time.monotonic()
        self._sources = sources
        self._cancelled = cancelled
        self._uncharged_numbers = 0

    def stats(self, returned: int) -> QueryStats:
        """Return the statistics of the query, which returned this number of lines."""
        seconds = time.monotonic() - self.started_at
        rate = 1.0 / seconds if seconds > 0 else 0.0
        summary = QuerySummary(
            bytes_processed_per_second=int(self.bytes_read * rate),
            lines_processed_per_second=int(self.lines_read * rate),
            total_bytes_processed=self.bytes_read,
            total_lines_processed=self.lines_read,
            exec_time=seconds,
            total_entries_returned=returned,
        )
        return QueryStats(summary=summary)

    def read(self, query: LogQuery, after: int, until: int) -> Iterator[LogEntry]:
        """Yield the lines of a query's selector, function by function.

        Args:
            query: The query; its stages are not applied.
            after: Start of the time span in nanoseconds, excluded.
            until: End of the time span in nanoseconds, included.
        """
        required_bytes, span = encoded_texts(required_texts(query.stages)), TimeSpan(after + 1, until + 1)
        for selection in select_streams(self._sources, query.selector):
            yield from self._count_lines(read_entries(selection, span, required_bytes, backward=False))

    def read_in_order(self, query: LogQuery, span: TimeSpan, *, backward: bool) -> Iterator[LogEntry]:
        """Yield the lines of a query's selector in a time span, sorted by time over all functions."""
        required_bytes = encoded_texts(required_texts(query.stages))
        parts: list[Iterable[LogEntry]] = [
            read_entries(selection, span, required_bytes, backward=backward)
            for selection in select_streams(self._sources, query.selector)
        ]
        return self._count_lines(merge_by_time(parts, backward=backward)) if parts else iter(())

    def charge(self, numbers: int) -> None:
        """Account for work on numbers, which reads no lines.

        Raises:
            QueryError: The query was cancelled or exceeded its time limit.
        """
        self._uncharged_numbers += numbers
        if self._uncharged_numbers > _NUMBERS_PER_YIELD:
            self._uncharged_numbers = 0
            self.yield_gil()

    def yield_gil(self) -> None:
        """Let other threads run, the event loop above all, and check cancellation and the time limit.

        Without it a query thread holds the GIL for a whole switch interval at a time, which the event loop would
        wait for several times in each request; ``docs/decisions/logs-as-loki.md`` has figures.

        Raises:
            QueryError: The query was cancelled or exceeded its time limit.
        """
        if self._cancelled.is_set():
            raise QueryError("the request was cancelled by the client")
        if time.monotonic() - self.started_at > _QUERY_TIMEOUT:
            raise QueryTimedOut(
                "request timed out, decrease the duration of the request or add more label matchers (prefer exact "
                "match over regex match) to reduce the amount of data processed"
            )
        time.sleep(0)  # releases the GIL

    def _count_lines(self, entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
        for entry in entries:
            self.lines_read += 1
            self.bytes_read += len(entry.line)
            if not self.lines_read % _LINES_PER_YIELD:
                self.yield_gil()
            yield entry


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
                found.setdefault(selection.source.name, set()).update(active)
            labels = {source.name: source.labels for source in sources}
            return [dict(labels[name][stream]) for name in sorted(found) for stream in sorted(found[name])]

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
    chosen = _select_lines(
        query,
        work.read_in_order(query, TimeSpan(request.start, request.end), backward=request.direction == "backward"),
        limit=request.limit,
        interval=request.interval,
        categorized=request.categorized,
    )
    flags = [CATEGORIZE_LABELS] if request.categorized else []
    return QueryData(
        result_type="streams", encoding_flags=flags, result=chosen.streams(), stats=work.stats(chosen.count)
    )


def _run_metric_query(query: MetricQuery, steps: TimeSteps, work: QueryExecution, *, instant: bool) -> QueryData:
    result = evaluate(query, steps, work.read, work.charge)
    stats = work.stats(returned=0)
    if isinstance(result, float):
        if instant:
            return QueryData(result_type="scalar", result=to_scalar(result, steps), stats=stats)
        # Prometheus' API has no scalar results over a range: it is a constant series without labels.
        result = [Series({}, [result] * steps.count)]
    if len(result) > _MAX_SERIES:
        raise QueryError(
            f"maximum number of series ({_MAX_SERIES}) reached for a single query; consider reducing query "
            "cardinality by adding more specific stream selectors, reducing the time range, or aggregating results "
            "with functions like sum(), count() or topk()"
        )
    if instant:
        return QueryData(result_type="vector", result=to_vector(result, steps), stats=stats)
    return QueryData(result_type="matrix", result=to_matrix(result, steps), stats=stats)


def _evaluation_steps(request: RangeRequest) -> TimeSteps:
    steps = TimeSteps(request.start, request.end, request.step)
    if steps.count > _MAX_POINTS_PER_SERIES:
        raise QueryError(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter"
        )
    return steps
