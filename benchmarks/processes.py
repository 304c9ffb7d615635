"""CPU time and memory of processes, from Linux' ``/proc``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import BenchmarkSkipped

__all__ = ["Memory", "cpu_seconds", "descendants", "memory", "require_linux"]

_PROCESSES = Path("/proc")
_NANOSECOND = 1e-9


def require_linux() -> None:
    """Raise ``BenchmarkSkipped`` on systems without ``/proc``."""
    if not sys.platform.startswith("linux"):
        raise BenchmarkSkipped("CPU and memory of other processes are read from /proc")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process, user and system."""
    tasks = (_PROCESSES / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * _NANOSECOND


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes. ``pss`` divides a shared page between its processes; ``rss`` counts it in each."""

    pss: int
    rss: int


def memory(pid: int) -> Memory:
    """Return the memory of a process."""
    found: dict[str, int] = {}
    for line in (_PROCESSES / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        found[name] = int(value.split()[0]) * 1024
    return Memory(pss=found["Pss"], rss=found["Rss"])


def descendants(pid: int) -> list[int]:
    """Return the pids of all descendants of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in (_PROCESSES / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
