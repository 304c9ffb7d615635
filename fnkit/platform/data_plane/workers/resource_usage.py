"""How much memory and disk instances use.

Memory is read from the instance's cgroup, which counts everything that the handler started, and shared pages once.
Without cgroups it is the sum of the resident sets of its processes (Linux), which include the pages shared with the
zygote.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from typing import Final

from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.directory_tree import TreeChanged, walk_tree

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_BLOCK_BYTES: Final = 512  # unit of st_blocks, in bytes


def total_memory(instances: Iterable[Instance]) -> int | None:
    """Return the memory of these instances in bytes; ``None`` if this machine reports it for none of them."""
    readings = [_instance_memory(instance) for instance in instances]
    known = [reading for reading in readings if reading is not None]
    return sum(known) if known or not readings else None


def _instance_memory(instance: Instance) -> int | None:
    if instance.process.groups is not None:
        return instance.process.groups.memory_bytes()
    if not instance.process.pid or sys.platform != "linux":
        return None
    return sum(map(_resident_bytes, process_tree(instance.process.pid))) or None


def process_tree_memory(pid: int, limit: int) -> int:
    """Return the memory of a process and its descendants in bytes, with shared pages in parts if that matters.

    Resident sets count the pages shared with the zygote in full. The proportional set size is exact but costs the
    kernel a walk over all pages, so it is read only if the cheap sum exceeds ``limit``.
    """
    processes = process_tree(pid)
    resident = sum(_resident_bytes(process) for process in processes)
    if resident <= limit:
        return resident
    return sum(_proportional_bytes(process) for process in processes)


def process_tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for process in found:
        try:
            # Children are listed per thread: a child belongs to the thread that forked it.
            for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208  (hot path; no Path objects)
                path = f"/proc/{process}/task/{thread}/children"
                with open(path, "rb") as children:  # noqa: PTH123  (hot path; no Path objects)
                    found.extend(int(child) for child in children.read().split())
        except OSError:
            continue
    return found


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123  (hot path; no Path objects)
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _proportional_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:  # noqa: PTH123  (hot path; no Path objects)
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident_bytes(pid)


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
    """Sum the sizes of files and directories. Empty ones count one block each, because they use an inode.

    A tree that cannot be measured, because its deepest directories are moved about meanwhile, counts as too large.
    """
    total = 0
    try:
        for entry in walk_tree(directory):
            total += max(1, entry.status.st_blocks) * _BLOCK_BYTES
            if total > limit:
                break
    except TreeChanged:
        return limit + 1
    except OSError:
        return total  # the disk has just been removed
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
