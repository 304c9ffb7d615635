"""Measures what instances use, in a process of its own, and reports those that exceed a limit.

A walk over a large tree makes thousands of system calls, after each of which a thread of the data plane would have
to wait for the interpreter's lock. So a busy gateway would suspend the limit, and a handler with many processes or
files would hold up the gateway. Here, measurements take turns, so that one that takes long does not suspend the
limits of others either.

Standard input: lines ``memory NUMBER PID LIMIT``, ``disk NUMBER PID LIMIT DIRECTORY`` and ``forget NUMBER``.
Standard output: a line ``NUMBER EXCEEDED`` for an instance that exceeds a limit (``memory``, ``disk``) or cannot be
measured (``hidden``). The process ends with its standard input. ``UsageMonitor`` is the other end.
"""

from __future__ import annotations

import os
import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from itertools import islice
from typing import Final

from fnkit.platform.data_plane.workers.disk_usage import BLOCK_BYTES, disk_usage
from fnkit.platform.data_plane.workers.process_memory import memory_usage
from fnkit.platform.directory_tree import TreeChanged

_CHECK_INTERVAL: Final = 0.25
_MAX_AGE: Final = 5.0
"""Seconds after which a disk is measured even if its file system has not grown."""
_MAX_HIDDEN: Final = 5.0
"""Seconds for which a process may be unreadable: it is for a moment, when it changes its user or namespace."""


class Meter(ABC):
    """Measures one thing again and again.

    Args:
        limit: Bytes.
        now: Seconds of a monotonic clock.
    """

    exceeded = ""
    """What is reported when the limit is exceeded."""
    steps_per_turn = 1
    """Steps of a measurement that take a few milliseconds."""

    def __init__(self, limit: int, now: float) -> None:
        self._limit = limit
        self._usage = 0
        self._measurement: Generator[int, None, None] | None = None
        self._began_at = now
        self._next_check = now + _CHECK_INTERVAL
        self._hidden_since: float | None = None

    def seconds_until_turn(self, now: float) -> float:
        """Return how long no turn is needed; 0 during a measurement."""
        return 0.0 if self._measurement is not None else max(0.0, self._next_check - now)

    def take_turn(self, now: float) -> str:
        """Measure for a few milliseconds, if that is due, and return what is exceeded, or nothing."""
        if self._measurement is None:
            if not self._is_due(now):
                return ""
            self._began_at = now
            self._measurement = self._measure()
        try:
            counted = max(islice(self._measurement, self.steps_per_turn), default=None)
        except TreeChanged:
            return self.exceeded
        except PermissionError:
            return self._on_hidden(now)
        if counted is None:
            self._measurement = self._hidden_since = None
            self._next_check = now + _CHECK_INTERVAL
            return ""
        self._usage = counted
        return self.exceeded if counted > self._limit else ""

    def _on_hidden(self, now: float) -> str:
        self._measurement = None
        self._next_check = now + _CHECK_INTERVAL
        if self._hidden_since is None:
            self._hidden_since = now
        return "hidden" if now - self._hidden_since >= _MAX_HIDDEN else ""

    def _is_due(self, now: float) -> bool:
        """Return whether it is time for a measurement."""
        is_due = now >= self._next_check
        if is_due:
            self._next_check = now + _CHECK_INTERVAL
        return is_due

    @abstractmethod
    def _measure(self) -> Generator[int, None, None]:
        """Begin a measurement: it yields the usage as far as it has been counted."""


class MemoryMeter(Meter):
    """Measures the memory of an instance's processes.

    Args:
        pid: The instance's process.
        limit: Bytes.
        now: Seconds of a monotonic clock.
    """

    exceeded = "memory"

    def __init__(self, pid: int, limit: int, now: float) -> None:
        super().__init__(limit, now)
        self._pid = pid

    def _measure(self) -> Generator[int, None, None]:
        return memory_usage(self._pid, self._limit)


def file_system_usage(directory: str) -> int:
    """Return the bytes that everything on this directory's file system uses, with one block for each inode."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return 0  # the directory has just been removed
    blocks = (status.f_blocks - status.f_bfree) * status.f_frsize
    return blocks + (status.f_files - status.f_ffree) * BLOCK_BYTES


class DiskMeter(Meter):
    """Measures the disk of an instance.

    An instance that writes nothing costs next to nothing: its disk is measured when the usage of the file system
    has changed so much that the rest of the limit may be half used up, or when the last measurement is five seconds
    old. What others remove counts like what they write; otherwise it would hide what this instance writes then.

    Args:
        directory: The disk.
        pid: The instance's process; 0 if unknown.
        limit: Bytes.
        now: Seconds of a monotonic clock.
        read_usage: See ``file_system_usage``.
    """

    exceeded = "disk"
    steps_per_turn = 500

    def __init__(
        self,
        directory: str,
        pid: int,
        limit: int,
        now: float,
        read_usage: Callable[[str], int] = file_system_usage,
    ) -> None:
        super().__init__(limit, now)
        self._directory = directory
        self._pid = pid
        self._read_usage = read_usage
        self._file_system_usage = read_usage(directory)
        self._changes = 0
        """Bytes that were written or removed on the file system since the last measurement began."""

    def _measure(self) -> Generator[int, None, None]:
        self._changes = 0
        return disk_usage(self._directory, self._pid)

    def _is_due(self, now: float) -> bool:
        if not super()._is_due(now):
            return False
        before, self._file_system_usage = self._file_system_usage, self._read_usage(self._directory)
        self._changes += abs(self._file_system_usage - before)
        return self._changes * 2 >= self._limit - self._usage or now - self._began_at >= _MAX_AGE


def main() -> None:
    """Measure until standard input ends."""
    meters: dict[str, list[Meter]] = {}  # by the number of the instance
    received = b""
    while True:
        now = time.monotonic()
        waits = [meter.seconds_until_turn(now) for one in meters.values() for meter in one]
        if select.select([0], [], [], min(waits) if waits else None)[0]:
            part = os.read(0, 65536)
            if not part:
                return
            *lines, received = (received + part).split(b"\n")
            for line in lines:
                _execute(os.fsdecode(line), meters)
        now = time.monotonic()
        for number, meters_of_instance in list(meters.items()):
            for exceeded in filter(None, [meter.take_turn(now) for meter in meters_of_instance]):
                meters.pop(number, None)
                os.write(1, f"{number} {exceeded}\n".encode())


def _execute(line: str, meters: dict[str, list[Meter]]) -> None:
    command, number, *rest = line.split(" ", 4)
    if command == "forget":
        meters.pop(number, None)
        return
    pid, limit = int(rest[0]), int(rest[1])
    now = time.monotonic()
    meter = MemoryMeter(pid, limit, now) if command == "memory" else DiskMeter(rest[2], pid, limit, now)
    meters.setdefault(number, []).append(meter)


if __name__ == "__main__":
    main()
