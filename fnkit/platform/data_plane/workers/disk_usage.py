"""How much a directory, and the files of it that were removed while they are open, use on a disk."""

# Hot paths: no Path objects.
# ruff: noqa: PTH116, PTH123

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Generator, Iterator
from typing import Final

from fnkit.platform.data_plane.workers.process_memory import mapping_lines, open_files, process_tree
from fnkit.platform.directory_tree import walk_tree

BLOCK_BYTES: Final = 512
"""The unit of ``st_blocks``, in bytes."""


def disk_usage(directory: str, pid: int) -> Generator[int, None, None]:
    """Yield the usage in bytes as far as it has been counted: the last value is the usage.

    Empty files and directories count one block each, because they use an inode. Removed files that processes of the
    instance hold open count too.

    Args:
        directory: The disk.
        pid: The instance's process; 0 if unknown.

    Raises:
        TreeChanged: It cannot be measured, because its deepest directories are moved about meanwhile.
        PermissionError: A process of the instance hides its descriptors.
    """
    total = 0
    try:
        for entry in walk_tree(directory):
            total += max(1, entry.status.st_blocks) * BLOCK_BYTES
            yield total
        if pid and sys.platform == "linux":
            yield total + _unlinked_bytes(directory, pid)
    except PermissionError:
        raise
    except OSError:
        yield total  # the disk has just been removed


def _unlinked_bytes(directory: str, pid: int) -> int:
    """Sum the sizes of removed files on this disk that processes of the instance hold open or have mapped.

    A file of an overlay, whose upper layer is on the disk, shows a device that exists for that overlay only.

    Raises:
        OSError: The disk has just been removed.
        PermissionError: See ``open_files``.
    """
    sizes: dict[tuple[int, int], int] = {}
    device = os.stat(directory).st_dev
    in_memory = _memory_devices(pid)
    for process in process_tree(pid):
        for path in open_files(process):
            try:
                status = os.stat(path)
            except OSError:
                continue
            is_virtual = os.major(status.st_dev) == 0 and status.st_dev not in in_memory
            if status.st_nlink == 0 and (status.st_dev == device or is_virtual) and stat.S_ISREG(status.st_mode):
                sizes[status.st_dev, status.st_ino] = status.st_blocks * BLOCK_BYTES
        for file, length in _mapped_unlinked_files(process):
            if file[0] not in in_memory:
                sizes[file] = max(sizes.get(file, 0), length)
    return sum(sizes.values())


def _mapped_unlinked_files(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield device, inode and size of each removed file that a process has mapped.

    Only root can ask for the size of such a file; for others it ends where the last mapping ends.
    """
    for addresses, _, offset, device, inode, *path in mapping_lines(pid, "maps"):
        if not path or not path[0].rstrip().endswith(b"(deleted)"):
            continue
        major, minor = (int(number, 16) for number in device.split(b":"))
        start, end = (int(address, 16) for address in addresses.split(b"-"))
        try:
            status = os.stat(f"/proc/{pid}/map_files/{start:x}-{end:x}")
            size = status.st_blocks * BLOCK_BYTES
        except OSError:
            size = int(offset, 16) + end - start
        yield (os.makedev(major, minor), int(inode)), size


def _memory_devices(pid: int) -> set[int]:
    """Return the devices of files that an instance keeps in memory: on a tmpfs, or made by ``memfd_create``."""
    nameless = os.memfd_create("device")
    found = {os.fstat(nameless).st_dev}
    os.close(nameless)
    with open(f"/proc/{pid}/mountinfo", encoding="ascii", errors="replace") as mounts:
        for line in mounts:
            fields, _, described = line.partition(" - ")
            if described.startswith("tmpfs "):
                major, minor = fields.split()[2].split(":")
                found.add(os.makedev(int(major), int(minor)))
    return found
