"""Determines which streams have lines in a time span, and how many, without decoding lines."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.control.logs.answers import IndexStats
from fnkit.platform.control.logs.build_lines import read_build_lines
from fnkit.platform.control.logs.segments import TimeSpan, read_chunks
from fnkit.platform.control.logs.sources import StreamSelection

__all__ = ["active_streams", "count_entries"]


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
