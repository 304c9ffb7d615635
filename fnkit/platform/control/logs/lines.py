"""Lines that a query lets stay, up to a limit, gathered by their labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.logs.answers import LineMetadata, LineValue, StreamResult
from fnkit.platform.logql.entries import Entry
from fnkit.platform.logql.pipeline import pipeline
from fnkit.platform.logql.printing import format_labels
from fnkit.platform.logql.refusal import QueryRefused
from fnkit.platform.logql.syntax import LogQuery

__all__ = ["LINES_MAX", "ChosenLines", "Gathering", "choose_lines"]

LINES_MAX: Final = 5000
"""Loki's own default for an answer."""

_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChosenLines:
    """The streams, in order of their labels, and how many lines they have together."""

    streams: list[StreamResult]
    count: int


class Gathering:
    """Lines by stream. categorized: what is known of a line alone stands with it, not in its stream's labels."""

    def __init__(self, *, categorized: bool) -> None:
        self.count = 0
        self.bytes = 0
        self._categorized = categorized
        self._streams: dict[str, StreamResult] = {}

    def add(self, entry: Entry) -> None:
        """Put a line to its stream."""
        self.count += 1
        self.bytes += len(entry.line)
        labels = entry.stream_labels() if self._categorized else entry.labels()
        value: LineValue = (str(entry.time), entry.line)
        if self._categorized:
            metadata = LineMetadata(structured_metadata=entry.metadata_labels(), parsed=entry.parsed_labels())
            value = (str(entry.time), entry.line, metadata)
        self._stream(labels).values.append(value)

    def streams(self) -> list[StreamResult]:
        """Return the streams, in order of their labels."""
        return [self._streams[key] for key in sorted(self._streams)]

    def _stream(self, labels: dict[str, str]) -> StreamResult:
        key = format_labels(labels)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = StreamResult(stream=labels, values=[])
        return stream


def choose_lines(
    query: LogQuery, entries: Iterable[Entry], *, limit: int, interval: int, categorized: bool
) -> ChosenLines:
    """Return the first ``limit`` entries that stay; with an interval, at least that long after one another.

    Raises:
        QueryRefused: an answer of more than 64 MiB.
    """
    step = pipeline(query.stages)
    gathering = Gathering(categorized=categorized)
    last: int | None = None
    for entry in entries:
        if not step(entry) or (last is not None and abs(entry.time - last) < interval):
            continue
        last = entry.time
        gathering.add(entry)
        if gathering.bytes > _BYTES_MAX:
            raise QueryRefused(
                f"the answer would be larger than {_BYTES_MAX >> 20} MiB; ask for fewer lines (limit)"
            )
        if gathering.count == limit:
            break
    return ChosenLines(gathering.streams(), gathering.count)
