"""Selects the lines that pass a query, up to a limit, and groups them by their labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.logs.answers import LineMetadata, LineValue, StreamResult
from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.logql.pipeline import compile_pipeline
from fnkit.platform.logql.printing import format_labels
from fnkit.platform.logql.refusal import QueryError
from fnkit.platform.logql.syntax import LogQuery

__all__ = ["MAX_LINES", "SelectedLines", "LineCollector", "select_lines"]

MAX_LINES: Final = 5000
"""Loki's default of ``max_entries_limit_per_query``."""

_MAX_RESULT_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SelectedLines:
    """Streams sorted by labels, and the total number of their lines."""

    streams: list[StreamResult]
    count: int


class LineCollector:
    """Groups lines by stream."""

    def __init__(self, *, categorized: bool) -> None:
        """Create an empty collector.

        Args:
            categorized: Return metadata and extracted labels with each line, not as labels of its stream.
        """
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
        self._stream(labels).values.append(value)

    def streams(self) -> list[StreamResult]:
        """Return the streams, sorted by labels."""
        return [self._streams[key] for key in sorted(self._streams)]

    def _stream(self, labels: dict[str, str]) -> StreamResult:
        key = format_labels(labels)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = StreamResult(stream=labels, values=[])
        return stream


def select_lines(
    query: LogQuery, entries: Iterable[LogEntry], *, limit: int, interval: int, categorized: bool
) -> SelectedLines:
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
    return SelectedLines(collector.streams(), collector.count)
