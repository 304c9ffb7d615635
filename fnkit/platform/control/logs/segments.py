"""The lines of one function's segments between two moments, forwards or backwards, a piece at a time.

Lines of one function are in order of time (``fnkit.platform.engine.logs``), so the first line of a span is found by
halving, and no more than a piece of a file is ever held. A file that is dropped meanwhile ends where it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fnkit.platform.control.logs.build_lines import BuildPlace
from fnkit.platform.log_lines import parse_time, segment_name, segment_number

__all__ = [
    "PIECE_BYTES",
    "Place",
    "Span",
    "end_of",
    "lines_backward",
    "lines_forward",
    "pieces",
    "place_of",
    "segments_of",
    "time_of",
]

PIECE_BYTES: Final = 64 * 1024
_HEAD: Final = b'{"time":"'
_HEAD_BYTES: Final = 64
_FOREVER: Final = 2**63
_HALVING_BYTES: Final = 4096


class Place(NamedTuple):
    """A place in a function's log: the number of a segment, and an offset in it."""

    segment: int
    offset: int


class Span(NamedTuple):
    """What is asked for: from start, before end (Unix nanoseconds), and nothing from ``limit`` on.

    builds: where the builds' lines end likewise.
    """

    start: int
    end: int
    limit: Place | None = None
    builds: BuildPlace | None = None


def time_of(line: bytes) -> int | None:
    """Return when a line was written; ``None`` for what a crash left of one."""
    if not line.startswith(_HEAD):
        return None
    end = line.find(b'"', len(_HEAD), _HEAD_BYTES)
    return parse_time(line[len(_HEAD) : end].decode("ascii", "replace")) if end > 0 else None


def lines_forward(folder: Path, span: Span) -> Iterator[tuple[int, bytes]]:
    """Yield times and raw lines, oldest first."""
    for number in _numbers(folder, span):
        with _opened(folder, number, span) as (file, size):
            offset = _find(file, size, span.start)
            while offset < size:
                lines, offset = _whole_lines(file, offset, size)
                for line in lines:
                    if (time := time_of(line)) is None:
                        continue
                    if time >= span.end:
                        return
                    yield time, line


def lines_backward(folder: Path, span: Span) -> Iterator[tuple[int, bytes]]:
    """Yield times and raw lines, newest first."""
    for number in reversed(_numbers(folder, span)):
        with _opened(folder, number, span) as (file, size):
            end = _find(file, size, span.end)
            while end > 0:
                start = _last_lines(file, end)
                for line in reversed(file.read(start, end).split(b"\n")):
                    if (time := time_of(line)) is None:
                        continue
                    if time < span.start:
                        return
                    yield time, line
                end = start


def pieces(folder: Path, span: Span) -> Iterator[bytes]:
    """Yield all of a span's bytes, whole lines, in larger pieces."""
    for number in _numbers(folder, span):
        with _opened(folder, number, span) as (file, size):
            offset, end = _find(file, size, span.start), _find(file, size, span.end)
            while offset < end:
                piece = file.read(offset, min(end, offset + 16 * PIECE_BYTES))
                if not piece:
                    break
                cut = piece.rfind(b"\n") + 1 or len(piece)
                yield piece[:cut]
                offset += cut


def end_of(folder: Path) -> Place:
    """Return the end of a function's log."""
    numbers = segments_of(folder)
    if not numbers:
        return Place(0, 0)
    with _opened(folder, numbers[-1], None) as (_, size):
        return Place(numbers[-1], size)


def place_of(folder: Path, moment: int) -> Place:
    """Return where the first line at or after a moment begins, or will."""
    numbers = _numbers(folder, Span(moment, _FOREVER))
    if not numbers:
        return end_of(folder)
    with _opened(folder, numbers[0], None) as (file, size):
        return Place(numbers[0], _find(file, size, moment))


class _File:
    """An open segment, or what is left of one that is gone."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def read(self, start: int, end: int) -> bytes:
        return b"" if self._descriptor is None else os.pread(self._descriptor, end - start, start)


@contextmanager
def _opened(folder: Path, number: int, span: Span | None) -> Iterator[tuple[_File, int]]:
    """Open a segment; its size is what it has now, or up to the span's limit; 0 where it is gone."""
    try:
        descriptor = os.open(folder / segment_name(number), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield _File(None), 0
        return
    try:
        size = os.fstat(descriptor).st_size
        if span is not None and span.limit is not None and span.limit.segment == number:
            size = min(size, span.limit.offset)
        yield _File(descriptor), size
    finally:
        os.close(descriptor)


def segments_of(folder: Path) -> list[int]:
    """Return the numbers of a function's segments, the oldest first."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  names are all that is needed, of a thousand folders
    except OSError:
        return []
    return sorted(number for name in names if (number := segment_number(name)) is not None)


def _numbers(folder: Path, span: Span) -> list[int]:
    """Return the segments that may hold lines of a span, oldest first."""
    limit = span.limit.segment if span.limit is not None else None
    numbers = [number for number in segments_of(folder) if limit is None or number <= limit]
    first = [_first_time(folder, number) for number in numbers]
    chosen = []
    for index, number in enumerate(numbers):
        begins, ends = first[index], next((time for time in first[index + 1 :] if time is not None), None)
        if (begins is None or begins < span.end) and (ends is None or ends > span.start):
            chosen.append(number)
    return chosen


def _first_time(folder: Path, number: int) -> int | None:
    with _opened(folder, number, None) as (file, size):
        return time_of(file.read(0, min(size, _HEAD_BYTES)))


def _find(file: _File, size: int, moment: int) -> int:
    """Return the offset of the first line at or after a moment, by halving; the size where there is none."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        start = _line_start(file, middle, high)
        time = time_of(file.read(start, min(start + _HEAD_BYTES, size))) if start < high else None
        while time is None and start < high:  # what a crash left of a line says nothing
            start = _line_start(file, start + 1, high)
            time = time_of(file.read(start, min(start + _HEAD_BYTES, size))) if start < high else None
        if time is not None and time < moment:
            low = start + 1
        else:
            high = middle
    return _line_start(file, low, size)


def _line_start(file: _File, offset: int, end: int) -> int:
    """Return where the first line that begins at or after an offset begins; ``end`` where none does before it."""
    if offset <= 0:
        return 0
    at, length = offset - 1, _HALVING_BYTES
    while at < end:
        piece = file.read(at, min(end, at + length))
        found = piece.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not piece:
            break
        at += len(piece)
        length *= 2
    return end


def _last_lines(file: _File, end: int) -> int:
    """Return where the lines of the piece before a line's beginning begin: one line at least."""
    length = PIECE_BYTES
    while True:
        start = _line_start(file, max(0, end - length), end)
        if start < end or end == 0:
            return start
        length *= 2


def _whole_lines(file: _File, offset: int, size: int) -> tuple[list[bytes], int]:
    """Return the whole lines of the piece that begins at a line, and where the next piece begins."""
    length = PIECE_BYTES
    while True:
        piece = file.read(offset, min(size, offset + length))
        if cut := piece.rfind(b"\n") + 1:
            return piece[: cut - 1].split(b"\n"), offset + cut
        if len(piece) < length:
            return [], size  # a line that is still being written
        length *= 2
