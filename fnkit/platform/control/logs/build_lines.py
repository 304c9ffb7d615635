"""What builds of a function wrote: two files of a megabyte at most, read whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fnkit.platform.log_lines import parse_time

__all__ = ["BUILD_FILE", "BuildLine", "BuildPlace", "build_end", "build_lines", "builds_after"]

BUILD_FILE: Final = "build.jsonl"
"""The file that is written to (``fnkit.platform.builds.log``)."""

BUILD_FILES: Final = ("build.1.jsonl", BUILD_FILE)


class _Written(msgspec.Struct, frozen=True):
    at: str
    message: str
    generation: int = 0


class BuildLine(NamedTuple):
    """When (Unix nanoseconds), what, and of which deployment."""

    time: int
    message: str
    generation: int


class BuildPlace(NamedTuple):
    """A place in the builds' files: the file by its inode, for it changes its name, and an offset."""

    inode: int
    offset: int


_decoder: Final = msgspec.json.Decoder(_Written)


def _read_line(raw: bytes) -> BuildLine | None:
    """Read one line; ``None`` for what a crash left of one."""
    try:
        line = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    time = parse_time(line.at)
    return None if time is None else BuildLine(time, line.message, line.generation)


def build_lines(folder: Path, limit: BuildPlace | None = None) -> Iterator[BuildLine]:
    """Yield the lines, oldest first, each later than the one before; with a limit, those before it."""
    last = 0
    for name in BUILD_FILES:
        for line in _read_file(folder / name, limit):
            last = max(line.time, last + 1)
            yield line._replace(time=last)


def _read_file(file: Path, limit: BuildPlace | None) -> list[BuildLine]:
    """Return the lines of one of the files."""
    try:
        with file.open("rb") as opened:
            inode = os.fstat(opened.fileno()).st_ino
            content = opened.read(limit.offset) if limit is not None and limit.inode == inode else opened.read()
    except OSError:
        return []
    found = (_read_line(raw) for raw in content.splitlines())
    return [line for line in found if line is not None]


def build_end(folder: Path) -> BuildPlace:
    """Return the end of what was written until now."""
    try:
        found = folder.joinpath(BUILD_FILE).stat()
    except OSError:
        return BuildPlace(0, 0)
    return BuildPlace(found.st_ino, found.st_size)


def builds_after(folder: Path, place: BuildPlace) -> tuple[list[BuildLine], BuildPlace]:
    """Return the lines written since a place, and where the next ones will begin.

    The file may have become the older one meanwhile; what was in one that is gone altogether is lost.
    """
    lines: list[BuildLine] = []
    for name in BUILD_FILES:
        try:
            with folder.joinpath(name).open("rb") as opened:
                inode = os.fstat(opened.fileno()).st_ino
                if inode != place.inode and name != BUILD_FILE and place.inode:
                    continue
                offset = place.offset if inode == place.inode else 0
                opened.seek(offset)
                content = opened.read()
        except OSError:
            continue
        whole = content[: content.rfind(b"\n") + 1]
        lines += [line for raw in whole.splitlines() if (line := _read_line(raw)) is not None]
        place = BuildPlace(inode, offset + len(whole))
    return lines, place
