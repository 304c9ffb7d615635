"""How much memory a process and its descendants use, as ``/proc`` reports it (Linux)."""

from __future__ import annotations

import os
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def process_tree_memory(pid: int, limit: int) -> int:
    """Return the memory of a process and its descendants in bytes, with shared pages in parts if that matters.

    Resident sets count the pages shared with the zygote in full. The proportional set size is exact but costs the
    kernel a walk over all pages, so it is read only if the cheap sum exceeds ``limit``.
    """
    processes = process_tree(pid)
    resident = sum(resident_bytes(process) for process in processes)
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


def resident_bytes(pid: int) -> int:
    """Return the resident set of a process, shared pages included; 0 if it has ended."""
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
    return resident_bytes(pid)
