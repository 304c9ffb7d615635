"""How much memory an instance takes: its control group's count, else its processes' resident sets (Linux).

A control group counts everything that the handler started, and shared pages once. A resident set is with the pages
that a process shares with its zygote.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Final

from fnkit.platform.engine.instance import Instance

__all__ = ["memory_below", "memory_of", "with_descendants"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def memory_of(instances: Iterable[Instance]) -> int | None:
    """Return bytes; ``None`` where there are instances and this machine tells of none of them."""
    readings = [_read(instance) for instance in instances]
    known = [reading for reading in readings if reading is not None]
    return sum(known) if known or not readings else None


def _read(instance: Instance) -> int | None:
    if instance.groups is not None:
        return instance.groups.memory_bytes()
    if not instance.pid or sys.platform != "linux":
        return None
    return sum(map(_resident, with_descendants(instance.pid))) or None


def memory_below(pid: int, limit: int) -> int:
    """Return the bytes that a process and all below it take: what is shared is counted in parts, if it matters.

    Pages that a fork shares with its zygote would count in full; so the exact sum, which is dearer, is only asked
    for where the simple one is over ``limit``.
    """
    processes = with_descendants(pid)
    resident = sum(_resident(process) for process in processes)
    if resident <= limit:
        return resident
    return sum(_proportional(process) for process in processes)


def with_descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for process in found:
        try:
            for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208  (often; no Path objects)
                with open(f"/proc/{process}/task/{thread}/children", "rb") as children:  # noqa: PTH123  (often; no Path objects)
                    found.extend(int(child) for child in children.read().split())
        except OSError:
            continue
    return found


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123  (often; no Path objects)
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:  # noqa: PTH123  (often; no Path objects)
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _resident(pid)
