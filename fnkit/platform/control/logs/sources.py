"""The log streams of functions: their labels, their selection and their lines.

A function has six streams: its standard output, its standard error, messages of the platform about it, its
requests, its responses, and its builds. Requests and responses are a source of their own, because their lines are
stored apart. The labels
are those of Scaleway's Cockpit. There ``stream`` and ``source`` are structured metadata; here they are labels too,
and a query such as ``| stream="stderr"`` works in both places. Values that differ from line to line (instance,
request) are metadata, since as labels they would create a stream for each request.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.logs.build_logs import BuildLogLine, read_build_lines
from fnkit.platform.control.logs.results import IndexStats
from fnkit.platform.control.logs.segments import TimeSpan, read_backward, read_chunks, read_forward
from fnkit.platform.logql.entry import LogEntry
from fnkit.platform.logql.pipeline import selector_predicate
from fnkit.platform.logql.syntax import Matcher
from fnkit.platform.model.log_record import REQUESTS_DIRECTORY, LogRecord
from fnkit.platform.model.records import FunctionRecord

_OUTPUT_STREAMS: Final = ("stdout", "stderr", "system", "build")
_REQUEST_STREAMS: Final = ("requests", "responses")
_USER_STREAMS: Final = ("stdout", "stderr")
_RESOURCE_TYPE: Final = "serverless_function"

_decoder: Final = msgspec.json.Decoder(LogRecord)
_encoder: Final = msgspec.json.Encoder()
_SEGMENT_STREAMS: Final = frozenset({*_OUTPUT_STREAMS, *_REQUEST_STREAMS}) - {"build"}


@dataclass(frozen=True, slots=True)
class LogSource:
    """The lines in one directory: the output of a function and of its builds, or its requests.

    Attributes:
        name: Its path below the directory of all logs, which begins with the function's id.
        folder: The directory.
        labels: The labels of each stream.
    """

    name: str
    folder: Path
    labels: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class StreamSelection:
    """A source and the streams of it that a selector matches."""

    source: LogSource
    streams: frozenset[str]


def log_sources(context: ControlContext, project_id: str | None, function_id: str | None = None) -> list[LogSource]:
    """Return the logs that a caller may read; the requests of a function follow its output.

    A reader that reads them in this order never sees what a handler printed before the request.

    Args:
        context: The control plane's context.
        project_id: Limits the result to a project; ``None`` allows all projects.
        function_id: Limits the result to a function.
    """
    records = _function_records(context, project_id, function_id)
    return [source for record in records for source in _sources_of(context.layout.logs_dir, record)]


def _function_records(
    context: ControlContext, project_id: str | None, function_id: str | None
) -> Iterator[FunctionRecord]:
    functions = context.store.functions
    if function_id is not None:
        record = functions.get(function_id)
        if record is not None and project_id in (None, record.project_id):
            yield record
    elif project_id is not None:
        yield from functions.all(project_id=project_id)
    else:
        yield from functions.all()


def _sources_of(logs: Path, record: FunctionRecord) -> Iterator[LogSource]:
    labels = {
        "project_id": record.project_id,
        "region": record.region,
        "resource_id": record.id,
        "resource_name": record.name,
        "resource_type": _RESOURCE_TYPE,
    }
    for name, streams in ((record.id, _OUTPUT_STREAMS), (f"{record.id}/{REQUESTS_DIRECTORY}", _REQUEST_STREAMS)):
        yield LogSource(name, logs / name, {stream: labels | _stream_labels(stream) for stream in streams})


def _stream_labels(stream: str) -> dict[str, str]:
    return {"source": "user" if stream in _USER_STREAMS else "core", "stream": stream}


def selected_function_id(matchers: tuple[Matcher, ...]) -> str | None:
    """Return the function id that a selector requires with ``resource_id="…"``, or ``None``."""
    return next((m.value for m in matchers if m.name == "resource_id" and m.operator == "=" and m.value), None)


def select_streams(sources: list[LogSource], matchers: tuple[Matcher, ...]) -> list[StreamSelection]:
    """Return the sources and streams that a selector matches."""
    is_selected = selector_predicate(matchers)
    selections = []
    for source in sources:
        streams = frozenset(stream for stream, labels in source.labels.items() if is_selected(labels))
        if streams:
            selections.append(StreamSelection(source, streams))
    return selections


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
        entries = [build_entry(selection.source, line) for line in builds]
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
        required_bytes = (_stream_field(next(iter(streams))), *required_bytes)
    read = read_backward if backward else read_forward
    for time, raw in read(source.folder, span):
        if (
            all(required in raw for required in required_bytes)
            and (entry := parse_entry(source, time, raw, streams)) is not None
        ):
            yield entry


def build_entry(source: LogSource, line: BuildLogLine) -> LogEntry:
    """Return a line of a build as an entry of the function's stream of builds."""
    return LogEntry(line.time, line.message, source.labels["build"], {"generation": str(line.generation)})


def active_streams(folder: Path, streams: frozenset[str], span: TimeSpan) -> set[str]:
    """Return the streams that have lines in the span."""
    missing = {stream: _stream_field(stream) for stream in streams if stream != "build"}
    found: set[str] = set()
    # Quotes inside JSON strings are escaped, so the bytes of a stream field never occur in a message.
    for chunk in read_chunks(folder, span) if missing else ():
        found |= {stream for stream, mark in missing.items() if mark in chunk}
        missing = {stream: mark for stream, mark in missing.items() if stream not in found}
        if not missing:
            break
    if "build" in streams and any(span.start <= line.time < span.end for line in read_build_lines(folder)):
        found.add("build")
    return found


def count_entries(selections: list[StreamSelection], span: TimeSpan) -> IndexStats:
    """Return the number of streams, lines and bytes in the span.

    Bytes are those on disk, with the JSON around each message; for some of several streams they are a share by
    lines.
    """
    streams = entries = size = 0
    for selection in selections:
        active: set[str] = set()
        for chunk in read_chunks(selection.source.folder, span):
            for stream in selection.streams:
                if count := chunk.count(_stream_field(stream)):
                    active.add(stream)
                    entries += count
                    size += len(chunk) * count // max(1, chunk.count(b"\n"))
        builds = [line for line in read_build_lines(selection.source.folder) if span.start <= line.time < span.end]
        if builds and "build" in selection.streams:
            active.add("build")
            entries += len(builds)
            size += sum(len(line.message) for line in builds)
        streams += len(active)
    return IndexStats(streams=streams, chunks=streams, entries=entries, bytes=size)


def _stream_field(stream: str) -> bytes:
    return b'"stream":"%s"' % stream.encode()
