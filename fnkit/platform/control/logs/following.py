"""Reads the log of a function incrementally, from a position on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.logs.build_lines import (
    BUILD_FILE,
    BuildLogPosition,
    build_log_end,
    read_build_lines_after,
)
from fnkit.platform.control.logs.entries import parse_entry
from fnkit.platform.control.logs.segments import CHUNK_BYTES, log_end, segment_numbers, line_time
from fnkit.platform.control.logs.sources import LogSource
from fnkit.platform.log_lines import segment_name
from fnkit.platform.logql.entries import LogEntry

__all__ = ["START_POSITION", "FollowPosition", "LogFollower", "end_position"]

_MAX_LINE_BYTES: Final = 8 * CHUNK_BYTES  # a line of 64 KiB with every character escaped in JSON


class FollowPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The position up to which the log of a function was read, in its segments and in its build logs."""

    segment: int = 0
    offset: int = 0
    build_inode: int = 0
    build_offset: int = 0


START_POSITION: Final = FollowPosition()


def end_position(folder: Path) -> FollowPosition:
    """Return the position after the last line of a function."""
    position, build = log_end(folder), build_log_end(folder)
    return FollowPosition(
        segment=position.segment, offset=position.offset, build_inode=build.inode, build_offset=build.offset
    )


class LogFollower:
    """Reads the lines of a function that were written since the last read.

    Attributes:
        source: The function.
        position: The position of the next line.
        lost_segments: The number of segments that retention deleted before they were read.
    """

    def __init__(self, source: LogSource, position: FollowPosition = START_POSITION) -> None:
        self.source = source
        self.position = position
        self.lost_segments = 0

    def has_more(self) -> bool:
        """Return whether there may be new lines, which costs at most three ``stat`` calls."""
        folder, position = self.source.folder, self.position
        if position.segment == 0:
            return bool(segment_numbers(folder)) or (_file_size(folder / BUILD_FILE) or 0) != position.build_offset
        written = _file_size(folder / segment_name(position.segment))
        return (
            written != position.offset
            or _file_size(folder / segment_name(position.segment + 1)) is not None
            or (_file_size(folder / BUILD_FILE) or 0) != position.build_offset
        )

    def read(self, size: int) -> list[LogEntry]:
        """Return the next entries and advance the position. Blocks on disk I/O.

        Args:
            size: Stop after about this many bytes, and at the earliest after a complete line.
        """
        entries = self._read_build_entries()
        remaining = size
        while remaining > 0 and (raw := self._read_next_lines(remaining)) is not None:
            remaining -= len(raw)
            for line in raw.split(b"\n"):
                time = line_time(line)
                if time is not None and (entry := parse_entry(self.source, time, line)) is not None:
                    entries.append(entry)
        return entries

    def _read_build_entries(self) -> list[LogEntry]:
        before = BuildLogPosition(self.position.build_inode, self.position.build_offset)
        lines, after = read_build_lines_after(self.source.folder, before)
        if after != before:
            self.position = msgspec.structs.replace(
                self.position, build_inode=after.inode, build_offset=after.offset
            )
        labels = self.source.labels["build"]
        return [LogEntry(line.time, line.message, labels, {"generation": str(line.generation)}) for line in lines]

    def _read_next_lines(self, size: int) -> bytes | None:
        """Return complete lines and advance the position; return ``None`` at the end of the log.

        At the end of a finished segment, move to the next one and return ``b""``.
        """
        numbers = segment_numbers(self.source.folder)
        if not numbers:
            return None
        if self.position.segment not in numbers:
            newer = [number for number in numbers if number > self.position.segment]
            if not newer:
                return None
            if self.position.segment:
                self.lost_segments += max(1, newer[0] - self.position.segment - 1)
            self._move_to(newer[0], 0)
        # The list of segments must be older than the read: the data plane creates a segment only after it has
        # finished the one before. If the next one was listed, this read sees all of the current one. The other
        # order could skip lines that were written between the read and the listing.
        following = next((number for number in numbers if number > self.position.segment), None)
        raw = self._read_segment(max(size, _MAX_LINE_BYTES))
        cut = raw.rfind(b"\n") + 1
        if cut:
            self._move_to(self.position.segment, self.position.offset + cut)
            return raw[:cut]
        if following is None:
            return None
        self._move_to(following, 0)
        return b""

    def _read_segment(self, size: int) -> bytes:
        try:
            descriptor = os.open(
                self.source.folder / segment_name(self.position.segment), os.O_RDONLY | os.O_CLOEXEC
            )
        except OSError:
            return b""
        try:
            return os.pread(descriptor, size, self.position.offset)
        finally:
            os.close(descriptor)

    def _move_to(self, segment: int, offset: int) -> None:
        self.position = msgspec.structs.replace(self.position, segment=segment, offset=offset)


def _file_size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
