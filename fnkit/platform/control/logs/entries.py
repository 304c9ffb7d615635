"""Reads the lines of selected streams as entries, and merges several functions by time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

import msgspec

from fnkit.platform.control.logs.build_lines import BuildLine, build_lines
from fnkit.platform.control.logs.segments import Span, lines_backward, lines_forward
from fnkit.platform.control.logs.sources import STREAMS, LogSource, Selection
from fnkit.platform.log_lines import LogLine
from fnkit.platform.logql.entries import Entry

__all__ = ["entries_of", "entry_of", "in_order", "needles_for"]

_decoder: Final = msgspec.json.Decoder(LogLine)
_encoder: Final = msgspec.json.Encoder()
_WRITTEN: Final = frozenset(STREAMS) - {"build"}


def needles_for(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return texts in their JSON encoding, as they occur in a segment.

    A search for the encoded bytes skips most lines without decoding them.
    """
    return tuple(_encoder.encode(text)[1:-1] for text in texts)


def entries_of(
    selection: Selection, span: Span, required_bytes: tuple[bytes, ...], *, backward: bool
) -> Iterator[Entry]:
    """Yield the selected lines of a function within a time span.

    Args:
        selection: The function and its selected streams.
        span: The time span, and the positions where reading stops.
        required_bytes: Encoded texts that every line must contain; build logs are not filtered.
        backward: Yield the newest line first.
    """
    written = selection.streams & _WRITTEN
    parts: list[Iterable[Entry]] = []
    if written:
        parts.append(_written(selection, written, span, required_bytes, backward=backward))
    if "build" in selection.streams:
        lines = build_lines(selection.source.folder, span.builds)
        builds = [line for line in lines if span.start <= line.time < span.end]
        entries = [_build_entry(selection.source, line) for line in builds]
        parts.append(reversed(entries) if backward else entries)
    return in_order(parts, backward=backward)


def in_order(parts: list[Iterable[Entry]], *, backward: bool) -> Iterator[Entry]:
    """Merge several sequences of entries, each sorted by time, into one sorted sequence."""
    if len(parts) == 1:
        return iter(parts[0])
    return heapq.merge(*parts, key=attrgetter("time"), reverse=backward)


def entry_of(source: LogSource, time: int, raw: bytes, streams: frozenset[str] = _WRITTEN) -> Entry | None:
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
    return Entry(time, line.message, source.labels[line.stream], metadata)


def _written(
    selection: Selection, streams: frozenset[str], span: Span, required_bytes: tuple[bytes, ...], *, backward: bool
) -> Iterator[Entry]:
    source = selection.source
    if len(streams) == 1:
        # Quotes inside JSON strings are escaped, so these bytes never occur in a message.
        required_bytes = (b'"stream":"%s"' % next(iter(streams)).encode(), *required_bytes)
    read = lines_backward if backward else lines_forward
    for time, raw in read(source.folder, span):
        if (
            all(required in raw for required in required_bytes)
            and (entry := entry_of(source, time, raw, streams)) is not None
        ):
            yield entry


def _build_entry(source: LogSource, line: BuildLine) -> Entry:
    return Entry(line.time, line.message, source.labels["build"], {"generation": str(line.generation)})
