"""Watches what the kernel does not bound or does not end: memory without control groups, disks that are folders.

Looks four times a second at the instances that run, and ends what is over its limit. Between two looks an instance
can take more; each of its processes alone is bounded by the kernel all the same (``RLIMIT_DATA`` and
``RLIMIT_FSIZE``).
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

from fnkit.platform.engine.disk import disk_usage
from fnkit.platform.engine.instance import Instance, InstanceState
from fnkit.platform.engine.memory import memory_below

__all__ = ["Watcher"]

_SECONDS: Final = 0.25
_MIB: Final = 1024 * 1024
_OUT_OF_MEMORY: Final = "out of memory"  # as the kernel's own, where it watches


@dataclass(frozen=True, slots=True)
class _Bounds:
    """In bytes; ``None`` is bounded otherwise."""

    memory: int | None
    disk: int | None


class Watcher:
    """``counts_memory``: there are no control groups that do. Linux alone says what a process takes."""

    def __init__(self, *, counts_memory: bool) -> None:
        self._counts_memory = counts_memory and sys.platform == "linux"
        self._watched: dict[Instance, _Bounds] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._measuring = False

    def watch(self, instance: Instance, *, memory: int, disk: int | None) -> None:
        """Hold an instance to these limits, in bytes, to its end; ``disk``: of the folder that is its disk."""
        self._watched[instance] = _Bounds(memory if self._counts_memory and instance.pid else None, disk)
        if self._timer is None:
            self._timer = self._loop.call_later(_SECONDS, self._look)

    def _look(self) -> None:
        self._watched = {i: b for i, b in self._watched.items() if i.state is not InstanceState.ENDED}
        for instance, bounds in self._watched.items():
            if instance.groups is not None and instance.groups.ran_out_of_memory():
                instance.kill(_OUT_OF_MEMORY)  # a child of its was killed, and it goes on without
            if bounds.memory is not None and memory_below(instance.pid, bounds.memory) > bounds.memory:
                instance.kill(_OUT_OF_MEMORY)
        if any(bounds.disk is not None for bounds in self._watched.values()) and not self._measuring:
            self._measuring = True
            self._loop.create_task(self._look_at_disks()).add_done_callback(self._measured)
        self._timer = self._loop.call_later(_SECONDS, self._look) if self._watched else None

    async def _look_at_disks(self) -> None:
        for instance, bounds in list(self._watched.items()):
            if bounds.disk is None or instance.home is None:
                continue
            if (
                await self._loop.run_in_executor(None, disk_usage, instance.home, instance.pid, bounds.disk)
                > bounds.disk
            ):
                instance.kill(f"out of disk: more than {bounds.disk // _MIB} MiB")

    def _measured(self, _task: asyncio.Task[None]) -> None:
        self._measuring = False

    def close(self) -> None:
        """Watch nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._watched.clear()
