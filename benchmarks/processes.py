"""What Linux knows about a process: its CPU time and its memory."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Skipped

__all__ = ["Memory", "cpu_seconds", "descendants", "memory", "need_linux"]

_PROCESSES = Path("/proc")
_NANOSECOND = 1e-9


def need_linux() -> None:
    """Raise ``Skipped`` where other processes cannot be looked at."""
    if not sys.platform.startswith("linux"):
        raise Skipped("CPU and memory of other processes are read from /proc")


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, user and system."""
    tasks = (_PROCESSES / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * _NANOSECOND


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. ``pss`` counts a shared page in parts, ``rss`` in every process whole."""

    pss: int
    rss: int


def memory(pid: int) -> Memory:
    """Return a process's memory."""
    found: dict[str, int] = {}
    for line in (_PROCESSES / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        found[name] = int(value.split()[0]) * 1024
    return Memory(pss=found["Pss"], rss=found["Rss"])


def descendants(pid: int) -> list[int]:
    """Return the process's children, their children, and so on."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in (_PROCESSES / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
