"""The limits on what instances use: of each (``LimitMonitor``), and of all together (``MemoryBudget``)."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Final

from fnkit.platform.data_plane.workers.instance import Instance, WorkerState
from fnkit.platform.data_plane.workers.resource_usage import disk_usage, process_tree_memory

_CHECK_INTERVAL: Final = 0.25
_MIB: Final = 1024 * 1024
_OUT_OF_MEMORY: Final = "out of memory"  # the same reason as when a cgroup's limit was hit


def default_memory_budget() -> int:
    """Return half of the memory of this machine, in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB // 2


class MemoryBudget:
    """The memory that instances and deployment zygotes may use together, and the starts that wait for it.

    A reservation is the memory limit of an instance in full, whatever it uses: an instance that reaches its limit
    must not take memory that another one was promised.

    Attributes:
        limit: MB that may be reserved.
        used: MB that are reserved.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiter: asyncio.Future[None] | None = None

    def reserve(self, memory: int) -> bool:
        """Reserve this much. Return ``False`` if it exceeds the budget."""
        if self.used + memory > self.limit:
            return False
        self.used += memory
        return True

    def release(self, memory: int) -> None:
        """Return memory that was reserved."""
        self.used -= memory
        self.retry()

    def retry(self) -> None:
        """Let the start that waits for memory try again, because something has changed that it depends on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait_for_retry(self) -> None:
        """Wait for ``retry``. Only one caller may wait at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


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
        self._limits[instance] = _Limits(memory if self._counts_memory and instance.process.pid else None, disk)
        if self._timer is None:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        self._limits = {i: b for i, b in self._limits.items() if i.state is not WorkerState.ENDED}
        for instance, bounds in self._limits.items():
            if instance.process.groups is not None and instance.process.groups.ran_out_of_memory():
                # The kernel may have killed a child of the handler only; the instance ends as a whole.
                instance.kill(_OUT_OF_MEMORY)
            pid, limit = instance.process.pid, bounds.memory
            if limit is not None and process_tree_memory(pid, limit) > limit:
                instance.kill(_OUT_OF_MEMORY)
        # A walk over a large disk takes longer than the interval, so it runs in a thread, one at a time.
        if any(bounds.disk is not None for bounds in self._limits.values()) and not self._is_checking_disks:
            self._is_checking_disks = True
            self._loop.create_task(self._check_disks()).add_done_callback(self._on_disks_checked)
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check) if self._limits else None

    async def _check_disks(self) -> None:
        for instance, bounds in list(self._limits.items()):
            directory, pid = instance.process.host_directory, instance.process.pid
            if bounds.disk is None or directory is None:
                continue
            used = await self._loop.run_in_executor(None, disk_usage, directory, pid, bounds.disk)
            if used > bounds.disk:
                instance.kill(f"out of disk: more than {bounds.disk // _MIB} MiB")

    def _on_disks_checked(self, _task: asyncio.Task[None]) -> None:
        self._is_checking_disks = False

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        self._limits.clear()
