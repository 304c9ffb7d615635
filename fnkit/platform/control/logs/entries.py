"""Reads the lines of selected streams as entries, and merges several functions by time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

import msgspec

from fnkit.platform.control.logs.build_lines import BuildLogLine, read_build_lines
from fnkit.platform.control.logs.segments import TimeSpan, read_backward, read_forward
from fnkit.platform.control.logs.sources import STREAM_NAMES, LogSource, StreamSelection
from fnkit.platform.log_lines import LogRecord
from fnkit.platform.logql.entries import LogEntry

__all__ = ["read_entries", "parse_entry", "merge_by_time", "encoded_texts"]

_decoder: Final = msgspec.json.Decoder(LogRecord)
_encoder: Final = msgspec.json.Encoder()
_SEGMENT_STREAMS: Final = frozenset(STREAM_NAMES) - {"build"}


def encoded_texts(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return texts in their JSON encoding, as they occur in a segment.

    A search for the encoded bytes skips most lines without decoding them.
    """
    return tuple(_encoder.encode(text)[1:-1] for text in texts)


def read_entries(
    selection: StreamSelection, span: TimeSpan, required_bytes: tuple[bytes, ...], *, backward: bool
) -> Iterator[LogEntry]:
    """Yield the selected lines of a function within a time span.

    Args:
        selection: The function and its selected streams.
        span: The time span, and the positions where reading stops.
        required_bytes: Encoded texts that every line must contain; build logs are not filtered.
        backward: Yield the newest line first.
    """
    written = selection.streams & _SEGMENT_STREAMS
    parts: list[Iterable[LogEntry]] = []
    if written:
        parts.append(_segment_entries(selection, written, span, required_bytes, backward=backward))
    if "build" in selection.streams:
        lines = read_build_lines(selection.source.folder, span.build_limit)
        builds = [line for line in lines if span.start <= line.time < span.end]
        entries = [_build_entry(selection.source, line) for line in builds]
        parts.append(reversed(entries) if backward else entries)
    return merge_by_time(parts, backward=backward)


def merge_by_time(parts: list[Iterable[LogEntry]], *, backward: bool) -> Iterator[LogEntry]:
    """Merge several sequences of entries, each sorted by time, into one sorted sequence."""
    if len(parts) == 1:
        return iter(parts[0])
    return heapq.merge(*parts, key=attrgetter("time"), reverse=backward)


def parse_entry(
    source: LogSource, time: int, raw: bytes, streams: frozenset[str] = _SEGMENT_STREAMS
) -> LogEntry | None:
    """Parse a raw line; return ``None`` if it belongs to another stream or a crash truncated it."""
    try:
        line = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if line.stream not in streams:
        return None
    metadata = {}
    if line.instance:
        metadata["resource_instance"] = line.instance
    if line.request_id:
        metadata["request_id"] = line.request_id
    return LogEntry(time, line.message, source.labels[line.stream], metadata)


def _segment_entries(
    selection: StreamSelection,
    streams: frozenset[str],
    span: TimeSpan,
    required_bytes: tuple[bytes, ...],
    *,
    backward: bool,
) -> Iterator[LogEntry]:
    source = selection.source
    if len(streams) == 1:
        # Quotes inside JSON strings are escaped, so these bytes never occur in a message.
        required_bytes = (b'"stream":"%s"' % next(iter(streams)).encode(), *required_bytes)
    read = read_backward if backward else read_forward
    for time, raw in read(source.folder, span):
        if (
            all(required in raw for required in required_bytes)
            and (entry := parse_entry(source, time, raw, streams)) is not None
        ):
            yield entry


def _build_entry(source: LogSource, line: BuildLogLine) -> LogEntry:
    return LogEntry(line.time, line.message, source.labels["build"], {"generation": str(line.generation)})
