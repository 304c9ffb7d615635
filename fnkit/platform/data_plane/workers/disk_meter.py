"""Measures the disks of instances, in a process of its own, and reports those that exceed their limit.

A walk over a large tree makes thousands of system calls, after each of which a thread of the data plane would have
to wait for the interpreter's lock. So a busy gateway would suspend the limit. Here, walks take turns, so that a
handler whose tree takes long to walk does not suspend the limit of others either.

Standard input: a line ``watch NUMBER PID LIMIT DIRECTORY`` or ``forget NUMBER`` for each instance. Standard output:
a line with ``NUMBER`` for each instance that exceeds its limit, which is then forgotten. The process ends with its
standard input. ``DiskMonitor`` is the other end.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Generator
from itertools import islice
from typing import Final

from fnkit.platform.data_plane.workers.process_memory import process_tree
from fnkit.platform.directory_tree import TreeChanged, walk_tree

_BLOCK_BYTES: Final = 512  # unit of st_blocks, in bytes
_CHECK_INTERVAL: Final = 0.25
_MAX_AGE: Final = 5.0
"""Seconds after which a disk is measured even if its file system has not grown."""
_ENTRIES_PER_TURN: Final = 500  # a few milliseconds


def disk_usage(directory: str, pid: int) -> Generator[int, None, None]:
    """Yield the usage in bytes as far as it has been counted: the last value is the usage.

    Empty files and directories count one block each, because they use an inode. Removed files that processes of the
    instance hold open count too.

    Args:
        directory: The disk.
        pid: The instance's process; 0 if unknown.

    Raises:
        TreeChanged: It cannot be measured, because its deepest directories are moved about meanwhile.
    """
    total = 0
    try:
        for entry in walk_tree(directory):
            total += max(1, entry.status.st_blocks) * _BLOCK_BYTES
            yield total
        if pid and sys.platform == "linux":
            yield total + _unlinked_bytes(directory, pid)
    except OSError:
        yield total  # the disk has just been removed


def _unlinked_bytes(directory: str, pid: int) -> int:
    """Sum the sizes of removed files on this disk that processes of the instance hold open, each once.

    Raises:
        OSError: The disk has just been removed.
    """
    sizes: dict[int, int] = {}
    device = os.stat(directory).st_dev  # noqa: PTH116  (hot path; no Path objects)
    for process in process_tree(pid):
        descriptors = f"/proc/{process}/fd"
        try:
            numbers = os.listdir(descriptors)  # noqa: PTH208  (hot path; no Path objects)
        except OSError:
            continue
        for number in numbers:
            try:
                status = os.stat(f"{descriptors}/{number}")  # noqa: PTH116  (hot path; no Path objects)
            except OSError:
                continue
            if status.st_nlink == 0 and status.st_dev == device and stat.S_ISREG(status.st_mode):
                sizes[status.st_ino] = status.st_blocks * _BLOCK_BYTES
    return sum(sizes.values())


class Disk:
    """A disk that is measured again and again.

    An instance that writes nothing costs next to nothing: its disk is measured when the file system has grown so
    much that the rest of its limit may be half used up, or when the last measurement is five seconds old.

    Args:
        directory: The disk.
        pid: The instance's process; 0 if unknown.
        limit: Bytes.
        now: Seconds of a monotonic clock.
    """

    def __init__(self, directory: str, pid: int, limit: int, now: float) -> None:
        self._directory = directory
        self._pid = pid
        self._limit = limit
        self._walk: Generator[int, None, None] | None = None
        self._walk_began_at = now
        self._file_system_before = self._file_system_usage()
        self._usage = 0
        self._next_check = now + _CHECK_INTERVAL

    def seconds_until_turn(self, now: float) -> float:
        """Return how long this disk needs no turn; 0 while it is being walked."""
        return 0.0 if self._walk is not None else max(0.0, self._next_check - now)

    def take_turn(self, now: float) -> bool:
        """Measure for a few milliseconds, if that is due, and return whether the limit is exceeded."""
        if self._walk is None:
            if self.seconds_until_turn(now):
                return False
            self._next_check = now + _CHECK_INTERVAL
            if not self._is_stale(now):
                return False
            self._file_system_before = self._file_system_usage()
            self._walk_began_at = now
            self._walk = disk_usage(self._directory, self._pid)
        try:
            counted = max(islice(self._walk, _ENTRIES_PER_TURN), default=None)
        except TreeChanged:
            return True
        if counted is None:
            self._walk = None
            self._next_check = now + _CHECK_INTERVAL
            return False
        self._usage = counted
        return counted > self._limit

    def _is_stale(self, now: float) -> bool:
        growth = self._file_system_usage() - self._file_system_before
        return growth * 2 >= self._limit - self._usage or now - self._walk_began_at >= _MAX_AGE

    def _file_system_usage(self) -> int:
        """Return the bytes that everything on the file system uses, with one block for each inode."""
        try:
            status = os.statvfs(self._directory)
        except OSError:
            return 0  # the disk has just been removed
        blocks = (status.f_blocks - status.f_bfree) * status.f_frsize
        return blocks + (status.f_files - status.f_ffree) * _BLOCK_BYTES


def main() -> None:
    """Measure until standard input ends."""
    disks: dict[str, Disk] = {}
    received = b""
    while True:
        now = time.monotonic()
        waits = [disk.seconds_until_turn(now) for disk in disks.values()]
        if select.select([0], [], [], min(waits) if waits else None)[0]:
            part = os.read(0, 65536)
            if not part:
                return
            *lines, received = (received + part).split(b"\n")
            for line in lines:
                _execute(os.fsdecode(line), disks)
        now = time.monotonic()
        for number, disk in list(disks.items()):
            if disk.take_turn(now):
                del disks[number]
                os.write(1, f"{number}\n".encode())


def _execute(line: str, disks: dict[str, Disk]) -> None:
    command, number, *rest = line.split(" ", 4)
    if command == "watch":
        pid, limit, directory = rest
        disks[number] = Disk(directory, int(pid), int(limit), time.monotonic())
    else:
        disks.pop(number, None)


if __name__ == "__main__":
    main()
