"""How much memory an instance takes: its control group's count, else the process' resident set (Linux).

A control group counts everything that the handler started, and shared pages once. A resident set is of the one
process, with the pages that it shares with its zygote. An instance knows no process id of its own, since it was
forked in a namespace of its zygote's: it is found among the zygote's children by the pipe that is its stdout.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from fnkit.platform.engine.instance import Instance

__all__ = ["MemoryReader"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LEVELS: Final = 2  # the zygote's parent, where there are namespaces, and the zygote


class MemoryReader:
    """Reads instances' memory. A reading costs some 15 µs an instance; process ids are remembered."""

    def __init__(self) -> None:
        self._pids: dict[int, int] = {}

    def total(self, instances: Iterable[Instance]) -> int | None:
        """Return bytes; ``None`` where there are instances and this machine tells of none of them."""
        readings = [self._read(instance) for instance in instances]
        known = [reading for reading in readings if reading is not None]
        return sum(known) if known or not readings else None

    def forget_ended(self, live: set[int]) -> None:
        """Remember only these instances' processes, by the instances' numbers."""
        for number in self._pids.keys() - live:
            del self._pids[number]

    def _read(self, instance: Instance) -> int | None:
        if instance.groups is not None:
            return instance.groups.memory_bytes()
        pid = self._pids.get(instance.number) or self._find(instance)
        if pid is None:
            return None
        self._pids[instance.number] = pid
        try:
            with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123  (a thousand times a second, perhaps)
                return int(statm.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            return None

    def _find(self, instance: Instance) -> int | None:
        for pid in _below(instance.zygote.pid, _LEVELS):
            try:
                if os.stat(f"/proc/{pid}/fd/1").st_ino == instance.output_inode:  # noqa: PTH116  (see above)
                    return pid
            except OSError:
                continue
        return None


def _below(pid: int, levels: int) -> Iterator[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as listing:  # noqa: PTH123  (see above)
            children = [int(child) for child in listing.read().split()]
    except OSError:
        return
    yield from children
    if levels > 1:
        for child in children:
            yield from _below(child, levels - 1)
