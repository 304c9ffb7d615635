"""The limits on what instances use: of each (``LimitMonitor``), and of all together (``MemoryBudget``)."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.data_plane.workers.disk_monitor import DiskMonitor
from fnkit.platform.data_plane.workers.instance import Instance, WorkerState
from fnkit.platform.data_plane.workers.process_memory import process_tree_memory

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


class LimitMonitor:
    """Enforces the limits of running instances that the kernel does not.

    Args:
        counts_memory: Whether no cgroups limit the memory. Takes effect on Linux only, which reports the memory of
            processes.
    """

    def __init__(self, *, counts_memory: bool) -> None:
        self._counts_memory = counts_memory and sys.platform == "linux"
        self._memory_limits: dict[Instance, int] = {}  # bytes
        self._on_disk: dict[int, Instance] = {}  # by number
        self._disks = DiskMonitor(self._on_disk_exceeded)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, instance: Instance, *, memory: int) -> None:
        """Enforce limits on an instance until it ends.

        Args:
            instance: The instance.
            memory: Bytes.
        """
        self._memory_limits[instance] = memory
        process = instance.process
        if process.host_directory is not None:
            self._on_disk[process.number] = instance
            self._disks.watch(
                process.number, pid=process.pid, directory=process.host_directory, limit=DISK_MAX_BYTES
            )
            instance.ended.add_done_callback(lambda _: self._forget_disk(process.number))
        if self._timer is None:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        self._memory_limits = {i: b for i, b in self._memory_limits.items() if i.state is not WorkerState.ENDED}
        for instance, limit in self._memory_limits.items():
            groups, pid = instance.process.groups, instance.process.pid
            if groups is not None and groups.ran_out_of_memory():
                # The kernel may have killed a child of the handler only; the instance ends as a whole.
                instance.kill(_OUT_OF_MEMORY)
            if self._counts_memory and pid and process_tree_memory(pid, limit) > limit:
                instance.kill(_OUT_OF_MEMORY)
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check) if self._memory_limits else None

    def _on_disk_exceeded(self, number: int) -> None:
        self._on_disk[number].kill(f"out of disk: more than {DISK_MAX_BYTES // _MIB} MiB")

    def _forget_disk(self, number: int) -> None:
        del self._on_disk[number]
        self._disks.forget(number)

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        self._memory_limits.clear()
        self._disks.close()
