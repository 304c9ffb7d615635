"""Measures what a build writes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fnkit.platform.control.deployments.build_job import BuildFailed
from fnkit.platform.directory_tree import TreeChanged, walk_tree


class BuildDiskMeter:
    """Measures directories whenever the file system has less free space than before.

    Args:
        directories: The directories.
        limit: Bytes that they may have together.
    """

    _SLACK: Final = 16 * 1024 * 1024
    _RESERVE: Final = 256 * 1024 * 1024
    _INTERVAL: Final = 0.25
    _SHARE: Final = 10
    """Between two measurements, at least this many times as long passes as one takes."""
    _ENTRY_BYTES: Final = 512

    def __init__(self, directories: Sequence[Path], limit: int) -> None:
        self._directories = directories
        self._limit = limit
        self._free = self._find_free()
        self._next = time.monotonic() + self._INTERVAL

    def _find_free(self) -> int:
        status = os.statvfs(self._directories[0])
        return status.f_bavail * status.f_frsize + status.f_favail * self._ENTRY_BYTES

    def check(self) -> None:
        """Check the limit, if it is time to.

        Raises:
            BuildFailed: The directories are too large, or the disk is full.
        """
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._INTERVAL
        status = os.statvfs(self._directories[0])
        if status.f_bavail * status.f_frsize < self._RESERVE:
            raise BuildFailed("The build was ended: the disk of this machine is full.")
        free = self._find_free()
        if self._free - free < self._SLACK:
            return
        self._free = free
        if self.measure() > self._limit:
            raise BuildFailed(f"The build was ended: it wrote more than {self._limit >> 20} MiB.")
        self._next = time.monotonic() + max(self._INTERVAL, self._SHARE * (time.monotonic() - now))

    def measure(self) -> int:
        """Return the size of the directories in bytes, up to one entry beyond the limit."""
        total = 0
        for directory in self._directories:
            with suppress(OSError, TreeChanged):
                for entry in walk_tree(directory):
                    total += entry.status.st_blocks * 512 + self._ENTRY_BYTES
                    if total > self._limit:
                        return total
        return total
