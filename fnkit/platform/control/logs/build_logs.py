"""Reads the build logs of a function: two files of at most a megabyte each, which are read completely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fnkit.platform.model.log_record import parse_time

BUILD_FILE: Final = "build.jsonl"
"""The file that builds append to. When it is full it is renamed to ``build.1.jsonl``."""

_BUILD_FILES: Final = ("build.1.jsonl", BUILD_FILE)


class _StoredLine(msgspec.Struct, frozen=True):
    at: str
    message: str
    generation: int = 0


class BuildLogLine(NamedTuple):
    """A line of a build: Unix nanoseconds, text, and the generation of the deployment."""

    time: int
    message: str
    generation: int


class BuildLogPosition(NamedTuple):
    """A position in the build logs. The inode identifies the file, because rotation changes its name."""

    inode: int
    offset: int


_line_decoder: Final = msgspec.json.Decoder(_StoredLine)


def _parse_line(raw: bytes) -> BuildLogLine | None:
    """Parse a line; return ``None`` for one that a crash truncated."""
    try:
        line = _line_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    time = parse_time(line.at)
    return None if time is None else BuildLogLine(time, line.message, line.generation)


def read_build_lines(folder: Path, limit: BuildLogPosition | None = None) -> Iterator[BuildLogLine]:
    """Yield the lines of a function's builds, oldest first.

    Times strictly increase, so that a line with the time of the one before it moves a nanosecond later.

    Args:
        folder: The log directory of the function.
        limit: Stop reading its file at this position.
    """
    last = 0
    for name in _BUILD_FILES:
        for line in _read_file(folder / name, limit):
            last = max(line.time, last + 1)
            yield line._replace(time=last)


def _read_file(file: Path, limit: BuildLogPosition | None) -> list[BuildLogLine]:
    """Return the lines of a build log file; a missing file has none."""
    try:
        with file.open("rb") as opened:
            inode = os.fstat(opened.fileno()).st_ino
            content = opened.read(limit.offset) if limit is not None and limit.inode == inode else opened.read()
    except OSError:
        return []
    lines = (_parse_line(raw) for raw in content.splitlines())
    return [line for line in lines if line is not None]


def build_log_end(folder: Path) -> BuildLogPosition:
    """Return the current end of the build logs."""
    try:
        status = folder.joinpath(BUILD_FILE).stat()
    except OSError:
        return BuildLogPosition(0, 0)
    return BuildLogPosition(status.st_ino, status.st_size)


def read_build_lines_after(folder: Path, position: BuildLogPosition) -> tuple[list[BuildLogLine], BuildLogPosition]:
    """Return the lines after a position, and the position after them.

    If the file of the position was rotated, its remaining lines come first. If it was rotated twice, it no longer
    exists and its remaining lines are lost.
    """
    lines: list[BuildLogLine] = []
    for name in _BUILD_FILES:
        try:
            with folder.joinpath(name).open("rb") as opened:
                inode = os.fstat(opened.fileno()).st_ino
                # The older file is relevant only if the position is in it, or if nothing was read yet (inode 0).
                if inode != position.inode and name != BUILD_FILE and position.inode:
                    continue
                offset = position.offset if inode == position.inode else 0
                opened.seek(offset)
                content = opened.read()
        except OSError:
            continue
        # A build may be writing the last line: it is read with the next call.
        complete = content[: content.rfind(b"\n") + 1]
        lines += [line for raw in complete.splitlines() if (line := _parse_line(raw)) is not None]
        position = BuildLogPosition(inode, offset + len(complete))
    return lines, position
