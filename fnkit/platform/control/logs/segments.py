"""Reads the log segments of a function within a time span, forward or backward.

The data plane writes the lines of a function in order of time, so a binary search over file offsets finds the first
line of a span, and no more than a chunk of a file is in memory. Retention may delete a segment at any time; a
segment that no longer exists counts as empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fnkit.platform.control.logs.build_logs import BuildLogPosition
from fnkit.platform.model.log_record import parse_time, segment_name, segment_number

CHUNK_BYTES: Final = 64 * 1024
_LINE_PREFIX: Final = b'{"time":"'
_PREFIX_READ_BYTES: Final = 64
_SEARCH_READ_BYTES: Final = 4096


class SegmentPosition(NamedTuple):
    """A position in the log of a function: the number of a segment and an offset in it."""

    segment: int
    offset: int


class TimeSpan(NamedTuple):
    """A time span, optionally limited to the lines before a position.

    Attributes:
        start: Unix nanoseconds, included.
        end: Unix nanoseconds, excluded.
        segment_limit: Exclude the lines in segments from this position on.
        build_limit: Exclude the lines in build logs from this position on.
    """

    start: int
    end: int
    segment_limit: SegmentPosition | None = None
    build_limit: BuildLogPosition | None = None


END_OF_TIME: Final = 2**63
ALL_TIME: Final = TimeSpan(0, END_OF_TIME)


def line_time(line: bytes) -> int | None:
    """Return the time of a raw line in Unix nanoseconds, or ``None`` if a crash truncated it."""
    # The data plane writes "time" as the first field, so the line need not be decoded.
    if not line.startswith(_LINE_PREFIX):
        return None
    end = line.find(b'"', len(_LINE_PREFIX), _PREFIX_READ_BYTES)
    return parse_time(line[len(_LINE_PREFIX) : end].decode("ascii", "replace")) if end > 0 else None


def read_forward(folder: Path, span: TimeSpan) -> Iterator[tuple[int, bytes]]:
    """Yield the time and bytes of each line, oldest first."""
    for number in _segments_in_span(folder, span):
        with open_segment(folder, number, span) as (file, size):
            offset = _find_offset(file, size, span.start)
            while offset < size:
                lines, offset = _read_complete_lines(file, offset, size)
                for line in lines:
                    if (time := line_time(line)) is None:
                        continue
                    if time >= span.end:
                        return
                    yield time, line


def read_backward(folder: Path, span: TimeSpan) -> Iterator[tuple[int, bytes]]:
    """Yield the time and bytes of each line, newest first."""
    for number in reversed(_segments_in_span(folder, span)):
        with open_segment(folder, number, span) as (file, size):
            end = _find_offset(file, size, span.end)
            while end > 0:
                start = _last_chunk_start(file, end)
                for line in reversed(file.read(start, end).split(b"\n")):
                    if (time := line_time(line)) is None:
                        continue
                    if time < span.start:
                        return
                    yield time, line
                end = start


def read_chunks(folder: Path, span: TimeSpan) -> Iterator[bytes]:
    """Yield the bytes of a span in chunks of complete lines, up to 1 MiB each."""
    for number in _segments_in_span(folder, span):
        with open_segment(folder, number, span) as (file, size):
            offset, end = _find_offset(file, size, span.start), _find_offset(file, size, span.end)
            while offset < end:
                chunk = file.read(offset, min(end, offset + 16 * CHUNK_BYTES))
                if not chunk:
                    break
                cut = chunk.rfind(b"\n") + 1 or len(chunk)
                yield chunk[:cut]
                offset += cut


def log_end(folder: Path) -> SegmentPosition:
    """Return the position after the last line of a function."""
    numbers = segment_numbers(folder)
    if not numbers:
        return SegmentPosition(0, 0)
    with open_segment(folder, numbers[-1]) as (_, size):
        return SegmentPosition(numbers[-1], size)


class SegmentFile:
    """An open segment; empty if the file no longer exists."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes between two offsets, or fewer at the end of the file."""
        return b"" if self._descriptor is None else os.pread(self._descriptor, end - start, start)


@contextmanager
def open_segment(folder: Path, number: int, span: TimeSpan | None = None) -> Iterator[tuple[SegmentFile, int]]:
    """Open a segment and yield it with its size: the current one, or the limit of a span, or 0 if it was deleted.

    The size is read once, so that a query does not chase a file to which the data plane keeps appending.
    """
    try:
        descriptor = os.open(folder / segment_name(number), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield SegmentFile(None), 0
        return
    try:
        size = os.fstat(descriptor).st_size
        if span is not None and span.segment_limit is not None and span.segment_limit.segment == number:
            size = min(size, span.segment_limit.offset)
        yield SegmentFile(descriptor), size
    finally:
        os.close(descriptor)


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of a function's segments, oldest first."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  faster than Path objects, for a thousand directories
    except OSError:
        return []
    return sorted(number for name in names if (number := segment_number(name)) is not None)


def _segments_in_span(folder: Path, span: TimeSpan) -> list[int]:
    """Return the numbers of the segments that may contain lines of a span, oldest first.

    A segment covers the time from its first line to the first line of the next segment; one whose first line is
    truncated or missing has no known start and is included.
    """
    limit = span.segment_limit.segment if span.segment_limit is not None else None
    numbers = [number for number in segment_numbers(folder) if limit is None or number <= limit]
    first_times = [_first_time(folder, number) for number in numbers]
    selected = []
    for index, number in enumerate(numbers):
        start = first_times[index]
        end = next((time for time in first_times[index + 1 :] if time is not None), None)
        if (start is None or start < span.end) and (end is None or end > span.start):
            selected.append(number)
    return selected


def _first_time(folder: Path, number: int) -> int | None:
    with open_segment(folder, number) as (file, size):
        return line_time(file.read(0, min(size, _PREFIX_READ_BYTES)))


def _find_offset(file: SegmentFile, size: int, target_time: int) -> int:
    """Return the offset of the first line at or after a time, or ``size`` if there is none.

    This is a binary search over bytes. An offset in the middle of a line stands for the next line, so ``low`` and
    ``high`` need not be line starts.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        start, time = _next_line_start(file, middle, high), None
        while start < high and (time := line_time(file.read(start, min(start + _PREFIX_READ_BYTES, size)))) is None:
            start = _next_line_start(file, start + 1, high)  # skip lines that a crash truncated
        if time is not None and time < target_time:
            low = start + 1
        else:
            high = middle
    return _next_line_start(file, low, size)


def _next_line_start(file: SegmentFile, offset: int, end: int) -> int:
    """Return the offset of the first line that starts at or after an offset, or ``end`` if there is none."""
    if offset <= 0:
        return 0
    # Search from the byte before: a newline there means that a line starts exactly at the offset.
    position, length = offset - 1, _SEARCH_READ_BYTES
    while position < end:
        chunk = file.read(position, min(end, position + length))
        found = chunk.find(b"\n")
        if found >= 0:
            return position + found + 1
        if not chunk:
            break
        position += len(chunk)
        length *= 2
    return end


def _last_chunk_start(file: SegmentFile, end: int) -> int:
    """Return the start of the last chunk of complete lines before the offset ``end``.

    The chunk has at least one line, so it grows beyond the usual size for a longer line.
    """
    length = CHUNK_BYTES
    while True:
        start = _next_line_start(file, max(0, end - length), end)
        if start < end or end == 0:
            return start
        length *= 2


def _read_complete_lines(file: SegmentFile, offset: int, size: int) -> tuple[list[bytes], int]:
    """Return the complete lines of the chunk at a line start, and the offset of the next chunk."""
    length = CHUNK_BYTES
    while True:
        chunk = file.read(offset, min(size, offset + length))
        if cut := chunk.rfind(b"\n") + 1:
            return chunk[: cut - 1].split(b"\n"), offset + cut
        if len(chunk) < length:
            return [], size  # the data plane is still writing the last line
        length *= 2
