"""How much memory a process and its descendants use, as ``/proc`` reports it (Linux)."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_BLOCK_BYTES: Final = 512  # unit of st_blocks, in bytes
_SHARED_MEMORY: Final = ("/memfd:", "/dev/zero (deleted)", "/SYSV")
"""How ``/proc`` names shared memory that is on no mounted file system: memfd_create, mmap and shmget."""


def memory_usage(pid: int, limit: int) -> Generator[int, None, None]:
    """Yield the memory of a process and its descendants in bytes as far as it has been counted.

    What is cheap to read is read first, and the rest only if that exceeds ``limit``: resident sets count the pages
    shared with the zygote in full, while proportional set sizes are exact but cost the kernel a walk over all
    pages. Shared memory objects count in full, whether a process has mapped them or holds a descriptor only.

    Raises:
        PermissionError: A process hides its descriptors.
    """
    processes = process_tree(pid)
    objects: dict[int, int] = {}  # size by inode
    for process in processes:
        objects.update(_open_shared_memory(process))
    sizes = [_virtual_and_resident_bytes(process) for process in processes]
    if sum(virtual for virtual, _ in sizes) + sum(objects.values()) <= limit:
        yield sum(resident for _, resident in sizes)
        return
    for process in processes:
        for inode, length in _mapped_shared_memory(process).items():
            objects.setdefault(inode, length)
    shared = sum(objects.values())
    resident = sum(resident for _, resident in sizes) + shared
    if resident <= limit:
        yield resident
        return
    total = shared
    for process in processes:
        total += _proportional_bytes(process)
        yield total


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


def open_files(pid: int) -> list[str]:
    """Return the path in ``/proc`` of each descriptor of a process; none if it has ended.

    Raises:
        PermissionError: It hides its descriptors, which a process can do that is not run by the same user or is not
            "dumpable" (prctl(2)).
    """
    descriptors = f"/proc/{pid}/fd"
    try:
        return [f"{descriptors}/{number}" for number in os.listdir(descriptors)]  # noqa: PTH208  (hot path)
    except PermissionError:
        if _virtual_and_resident_bytes(pid) == (0, 0):
            return []  # a process without memory is about to end, and belongs to root
        raise
    except OSError:
        return []


def resident_bytes(pid: int) -> int:
    """Return the resident set of a process, shared pages included; 0 if it has ended."""
    return _virtual_and_resident_bytes(pid)[1]


def _virtual_and_resident_bytes(pid: int) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123  (hot path; no Path objects)
            virtual, resident = statm.read().split()[:2]
    except (OSError, ValueError):
        return 0, 0
    return int(virtual) * _PAGE_BYTES, int(resident) * _PAGE_BYTES


def _open_shared_memory(pid: int) -> Iterator[tuple[int, int]]:
    """Yield inode and size of each shared memory object that a process holds a descriptor of."""
    for path in open_files(pid):
        try:
            if os.readlink(path).startswith(_SHARED_MEMORY):  # noqa: PTH115  (hot path; no Path objects)
                status = os.stat(path)  # noqa: PTH116  (hot path; no Path objects)
                yield status.st_ino, status.st_blocks * _BLOCK_BYTES
        except OSError:
            continue


def _mapped_shared_memory(pid: int) -> dict[int, int]:
    """Return the length of the mappings of each shared memory object by its inode."""
    lengths: dict[int, int] = {}
    for fields in mapping_lines(pid, "maps"):
        if _is_shared_memory(fields):
            start, end = fields[0].split(b"-")
            inode = int(fields[4])
            lengths[inode] = lengths.get(inode, 0) + int(end, 16) - int(start, 16)
    return lengths


def _proportional_bytes(pid: int) -> int:
    """Return the proportional set size of a process without shared memory objects."""
    total = 0
    is_counted = True
    for fields in mapping_lines(pid, "smaps"):
        if fields[0] == b"Pss:":
            total += int(fields[1]) * 1024 if is_counted else 0
        elif not fields[0].endswith(b":"):
            is_counted = not _is_shared_memory(fields)
    return total or resident_bytes(pid)


def mapping_lines(pid: int, name: str) -> Iterator[list[bytes]]:
    """Yield the lines of ``maps`` or ``smaps`` of a process, in fields; none if it has ended."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as lines:  # noqa: PTH123  (hot path; no Path objects)
            for line in lines:
                yield line.split(None, 5)
    except OSError:
        return


def _is_shared_memory(mapping: list[bytes]) -> bool:
    return len(mapping) > 5 and os.fsdecode(mapping[5]).startswith(_SHARED_MEMORY)  # noqa: PLR2004  (see proc(5))
