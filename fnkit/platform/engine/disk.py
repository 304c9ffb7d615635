"""How much of a disk an instance takes whose disk is a folder: files with a name there, and files that had one.

What is removed while somebody holds it open takes its place until it is closed.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Final

from fnkit.platform.engine.memory import with_descendants

__all__ = ["disk_usage"]

_BLOCK: Final = 512  # bytes of st_blocks


def disk_usage(folder: str, pid: int, limit: int) -> int:
    """Return bytes, no more than just over ``limit``. pid: the instance's, 0 where it is not known."""
    total = _named(folder, limit)
    if pid and sys.platform == "linux" and total <= limit:
        total += _nameless(folder, pid)
    return total


def _named(folder: str, limit: int) -> int:
    """Folders count, and so does what is empty: it takes a name and an inode."""
    total = 0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                blocks = os.lstat(os.path.join(parent, name)).st_blocks  # noqa: PTH118  (often; no Path objects)
            except OSError:
                continue
            total += max(1, blocks) * _BLOCK
        if total > limit:
            break
    return total


def _nameless(folder: str, pid: int) -> int:
    """Count files of this disk without a name that the instance's processes hold open, each once."""
    sizes: dict[int, int] = {}
    try:
        device = os.stat(folder).st_dev  # noqa: PTH116  (often; no Path objects)
    except OSError:
        return 0  # it has just been removed
    for process in with_descendants(pid):
        held = f"/proc/{process}/fd"
        try:
            numbers = os.listdir(held)  # noqa: PTH208  (often; no Path objects)
        except OSError:
            continue
        for number in numbers:
            try:
                found = os.stat(f"{held}/{number}")  # noqa: PTH116  (often; no Path objects)
            except OSError:
                continue
            if found.st_nlink == 0 and found.st_dev == device and stat.S_ISREG(found.st_mode):
                sizes[found.st_ino] = found.st_blocks * _BLOCK
    return sum(sizes.values())
