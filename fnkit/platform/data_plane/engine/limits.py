"""The limits on what instances use: of each (``LimitMonitor``), and of all together (``MemoryBudget``)."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.usage_monitor import UsageMonitor

_CHECK_INTERVAL: Final = 0.25
_MIB: Final = 1024 * 1024
_END_REASONS: Final = {
    "memory": "out of memory",  # the same reason as when a cgroup's limit was hit
    "disk": f"out of disk: more than {DISK_MAX_BYTES // _MIB} MiB",
    "hidden": "its processes hide what they use",
}


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
        self._instances: dict[int, Instance] = {}  # by number
        self._usage = UsageMonitor(self._on_exceeded)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, instance: Instance, *, memory: int) -> None:
        """Enforce limits on an instance until it ends.

        Args:
            instance: The instance.
            memory: Bytes.
        """
        process = instance.process
        self._instances[process.number] = instance
        instance.ended.add_done_callback(lambda _: self._remove(process.number))
        self._usage.watch(
            process.number,
            process.pid,
            memory=memory if self._counts_memory and process.pid else None,
            disk=(process.host_directory, DISK_MAX_BYTES) if process.host_directory is not None else None,
        )
        if self._timer is None and process.groups is not None:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_groups)

    def _remove(self, number: int) -> None:
        del self._instances[number]
        self._usage.forget(number)

    def _on_exceeded(self, number: int, exceeded: str) -> None:
        self._instances[number].kill(_END_REASONS[exceeded])

    def _check_groups(self) -> None:
        """End instances of which the kernel has killed a process: perhaps a child of the handler only."""
        for instance in list(self._instances.values()):
            if instance.process.groups is not None and instance.process.groups.ran_out_of_memory():
                instance.kill(_END_REASONS["memory"])
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_groups) if self._instances else None

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        self._usage.close()
