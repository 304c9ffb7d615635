"""Enforces limits that the kernel does not: memory without cgroups, and disks that are directories.

Instances are checked four times a second. Between two checks an instance can use more, but the kernel still bounds
each of its processes (``RLIMIT_DATA`` and ``RLIMIT_FSIZE``).
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

from fnkit.platform.engine.disk import disk_usage
from fnkit.platform.engine.instance import Instance, WorkerState
from fnkit.platform.engine.memory import process_tree_memory

__all__ = ["LimitMonitor"]

_CHECK_INTERVAL: Final = 0.25
_MIB: Final = 1024 * 1024
_OUT_OF_MEMORY: Final = "out of memory"  # the same reason as when a cgroup's limit was hit


@dataclass(frozen=True, slots=True)
class _Limits:
    """Limits in bytes; ``None`` if the kernel enforces the limit."""

    memory: int | None
    disk: int | None


class LimitMonitor:
    """Checks running instances at intervals.

    Args:
        counts_memory: Whether no cgroups limit the memory. Takes effect on Linux only, which reports the memory of
            processes.
    """

    def __init__(self, *, counts_memory: bool) -> None:
        self._counts_memory = counts_memory and sys.platform == "linux"
        self._limits: dict[Instance, _Limits] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_checking_disks = False

    def add(self, instance: Instance, *, memory: int, disk: int | None) -> None:
        """Enforce limits on an instance until it ends.

        Args:
            instance: The instance.
            memory: Bytes.
            disk: Bytes of the directory that is its disk; ``None`` if it has none.
        """
        self._limits[instance] = _Limits(memory if self._counts_memory and instance.pid else None, disk)
        if self._timer is None:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        self._limits = {i: b for i, b in self._limits.items() if i.state is not WorkerState.ENDED}
        for instance, bounds in self._limits.items():
            if instance.groups is not None and instance.groups.ran_out_of_memory():
                # The kernel may have killed a child of the handler only; the instance ends as a whole.
                instance.kill(_OUT_OF_MEMORY)
            if bounds.memory is not None and process_tree_memory(instance.pid, bounds.memory) > bounds.memory:
                instance.kill(_OUT_OF_MEMORY)
        # A walk over a large disk takes longer than the interval, so it runs in a thread, one at a time.
        if any(bounds.disk is not None for bounds in self._limits.values()) and not self._is_checking_disks:
            self._is_checking_disks = True
            self._loop.create_task(self._check_disks()).add_done_callback(self._on_disks_checked)
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check) if self._limits else None

    async def _check_disks(self) -> None:
        for instance, bounds in list(self._limits.items()):
            if bounds.disk is None or instance.host_directory is None:
                continue
            if (
                await self._loop.run_in_executor(
                    None, disk_usage, instance.host_directory, instance.pid, bounds.disk
                )
                > bounds.disk
            ):
                instance.kill(f"out of disk: more than {bounds.disk // _MIB} MiB")

    def _on_disks_checked(self, _task: asyncio.Task[None]) -> None:
        self._is_checking_disks = False

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        self._limits.clear()
