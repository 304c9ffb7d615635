"""Reads the log of a function incrementally, from a position on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.logs.build_lines import BUILD_FILE, BuildPlace, build_end, builds_after
from fnkit.platform.control.logs.entries import entry_of
from fnkit.platform.control.logs.segments import PIECE_BYTES, end_of, segments_of, time_of
from fnkit.platform.control.logs.sources import LogSource
from fnkit.platform.log_lines import segment_name
from fnkit.platform.logql.entries import Entry

__all__ = ["BEGINNING", "Followed", "Follower", "current_end"]

_LONGEST_LINE: Final = 8 * PIECE_BYTES  # a line of 64 KiB with every character escaped in JSON


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """The position up to which the log of a function was read, in its segments and in its build logs."""

    segment: int = 0
    offset: int = 0
    build_inode: int = 0
    build_offset: int = 0


BEGINNING: Final = Followed()


def current_end(folder: Path) -> Followed:
    """Return the position after the last line of a function."""
    position, build = end_of(folder), build_end(folder)
    return Followed(
        segment=position.segment, offset=position.offset, build_inode=build.inode, build_offset=build.offset
    )


class Follower:
    """Reads the lines of a function that were written since the last read.

    Attributes:
        source: The function.
        position: The position of the next line.
        lost_segments: The number of segments that retention deleted before they were read.
    """

    def __init__(self, source: LogSource, position: Followed = BEGINNING) -> None:
        self.source = source
        self.place = position
        self.lost = 0

    def has_more(self) -> bool:
        """Return whether there may be new lines, which costs at most three ``stat`` calls."""
        folder, position = self.source.folder, self.place
        if position.segment == 0:
            return bool(segments_of(folder)) or (_size(folder / BUILD_FILE) or 0) != position.build_offset
        written = _size(folder / segment_name(position.segment))
        return (
            written != position.offset
            or _size(folder / segment_name(position.segment + 1)) is not None
            or (_size(folder / BUILD_FILE) or 0) != position.build_offset
        )

    def read(self, size: int) -> list[Entry]:
        """Return the next entries and advance the position. Blocks on disk I/O.

        Args:
            size: Stop after about this many bytes, and at the earliest after a complete line.
        """
        entries = self._builds()
        remaining = size
        while remaining > 0 and (raw := self._next_lines(remaining)) is not None:
            remaining -= len(raw)
            for line in raw.split(b"\n"):
                time = time_of(line)
                if time is not None and (entry := entry_of(self.source, time, line)) is not None:
                    entries.append(entry)
        return entries

    def _builds(self) -> list[Entry]:
        before = BuildPlace(self.place.build_inode, self.place.build_offset)
        lines, after = builds_after(self.source.folder, before)
        if after != before:
            self.place = msgspec.structs.replace(self.place, build_inode=after.inode, build_offset=after.offset)
        labels = self.source.labels["build"]
        return [Entry(line.time, line.message, labels, {"generation": str(line.generation)}) for line in lines]

    def _next_lines(self, size: int) -> bytes | None:
        """Return complete lines and advance the position; return ``None`` at the end of the log.

        At the end of a finished segment, move to the next one and return ``b""``.
        """
        numbers = segments_of(self.source.folder)
        if not numbers:
            return None
        if self.place.segment not in numbers:
            newer = [number for number in numbers if number > self.place.segment]
            if not newer:
                return None
            if self.place.segment:
                self.lost += max(1, newer[0] - self.place.segment - 1)
            self._go(newer[0], 0)
        # The list of segments must be older than the read: the data plane creates a segment only after it has
        # finished the one before. If the next one was listed, this read sees all of the current one. The other
        # order could skip lines that were written between the read and the listing.
        following = next((number for number in numbers if number > self.place.segment), None)
        raw = self._read(max(size, _LONGEST_LINE))
        cut = raw.rfind(b"\n") + 1
        if cut:
            self._go(self.place.segment, self.place.offset + cut)
            return raw[:cut]
        if following is None:
            return None
        self._go(following, 0)
        return b""

    def _read(self, size: int) -> bytes:
        try:
            descriptor = os.open(self.source.folder / segment_name(self.place.segment), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(descriptor, size, self.place.offset)
        finally:
            os.close(descriptor)

    def _go(self, segment: int, offset: int) -> None:
        self.place = msgspec.structs.replace(self.place, segment=segment, offset=offset)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
