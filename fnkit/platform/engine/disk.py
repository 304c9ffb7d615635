"""Disk usage of an instance whose disk is a directory, including removed files that are still open.

A removed file keeps its blocks until the last descriptor of it is closed.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Final

from fnkit.platform.engine.memory import process_tree

__all__ = ["disk_usage"]

_BLOCK_BYTES: Final = 512  # unit of st_blocks, in bytes


def disk_usage(directory: str, pid: int, limit: int) -> int:
    """Return the usage in bytes; counting stops soon after ``limit`` is exceeded.

    Args:
        directory: The disk.
        pid: The instance's process; 0 if unknown.
        limit: Bytes.
    """
    total = _linked_bytes(directory, limit)
    if pid and sys.platform == "linux" and total <= limit:
        total += _unlinked_bytes(directory, pid)
    return total


def _linked_bytes(directory: str, limit: int) -> int:
    """Sum the sizes of files and directories. Empty ones count one block each, because they use an inode."""
    total = 0
    for parent, folders, files in os.walk(directory):
        for name in (*folders, *files):
            try:
                blocks = os.lstat(os.path.join(parent, name)).st_blocks  # noqa: PTH118  (hot path; no Path objects)
            except OSError:
                continue
            total += max(1, blocks) * _BLOCK_BYTES
        if total > limit:
            break
    return total


def _unlinked_bytes(directory: str, pid: int) -> int:
    """Sum the sizes of removed files on this disk that processes of the instance hold open, each once."""
    sizes: dict[int, int] = {}
    try:
        device = os.stat(directory).st_dev  # noqa: PTH116  (hot path; no Path objects)
    except OSError:
        return 0  # the disk has just been removed
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
