"""One segment of a log, as a file to which lines are appended, and its recovery after a crash."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.model.log_record import (
    MAX_LINE_BYTES,
    MAX_SEGMENT_BYTES,
    LogRecord,
    parse_time,
    segment_name,
    segment_number,
)

_MAX_ENCODED_LINE: Final = 6 * MAX_LINE_BYTES + 1024  # if every character is escaped as \\u00XX
_USUAL_TAIL_BYTES: Final = 8192
_decoder: Final = msgspec.json.Decoder(LogRecord)


class LogSegment:
    """The newest of the segments in a directory, to which lines are appended.

    Its file can be closed between two lines: reopening takes a tenth of the time of the recovery.

    Args:
        directory: Contains the segments; created if it does not exist.
        max_segments: How many are kept.

    Attributes:
        last_time: The time of the last line when it was opened, in Unix nanoseconds.
    """

    def __init__(self, directory: Path, max_segments: int) -> None:
        self.directory = directory
        self._max_segments = max_segments
        self._descriptor: int | None = None
        self._create_directory()
        numbers = [n for n in (segment_number(entry.name) for entry in directory.iterdir()) if n is not None]
        self.last_time = 0
        descriptor = self._open(max(numbers, default=1))
        try:
            self._recover(descriptor)
        except OSError:
            self.close()
            raise

    def _create_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _open(self, number: int) -> int:
        path = self.directory / segment_name(number)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptor = descriptor
        self.number = number
        self.size = os.fstat(descriptor).st_size
        return descriptor

    def append(self, data: bytes) -> None:
        """Append complete lines, to a new segment if this one is full. On a full disk they are lost.

        Raises:
            OSError: They cannot be written.
        """
        descriptor = self._descriptor
        if descriptor is None:
            self._create_directory()  # it may have been deleted meanwhile
            descriptor = self._open(self.number)
        if self.size and self.size + len(data) > MAX_SEGMENT_BYTES:
            before = descriptor
            descriptor = self._open(
                self.number + 1
            )  # if this fails, the old segment stays open and takes the lines
            os.close(before)
            with contextlib.suppress(FileNotFoundError):
                (self.directory / segment_name(self.number - self._max_segments)).unlink()
        written = os.write(descriptor, data)
        if written < len(data):  # the disk is full: part of a line would make the next one unreadable
            os.ftruncate(descriptor, self.size)
            return
        self.size += written

    def _recover(self, descriptor: int) -> None:
        """Continue after the last line's time, and end a line that a crash cut off."""
        if not self.size:
            return
        content = b""
        with Path(self.directory / segment_name(self.number)).open("rb") as file:
            # A function's log is opened while requests wait, and its last line is rarely long.
            for size in (_USUAL_TAIL_BYTES, 2 * _MAX_ENCODED_LINE):
                file.seek(max(0, self.size - size))
                content = file.read()
                if (last_time := _last_time(content)) is not None:
                    self.last_time = last_time
                    break
        if not content.endswith(b"\n"):
            os.write(descriptor, b"\n")
            self.size += 1

    def close(self) -> None:
        """Close the file, until ``append`` opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _last_time(content: bytes) -> int | None:
    """Return the time of the last complete line, in Unix nanoseconds, or ``None`` if there is none."""
    for line in reversed(content.splitlines()):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            return parse_time(_decoder.decode(line).time) or 0
    return None
