"""CPU, memory and open descriptors of a process, from ``/proc`` (Linux only)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ProcessUsage", "read_process_usage"]

_START_TIME_INDEX, _USER_TIME_INDEX, _SYSTEM_TIME_INDEX, _RESIDENT_PAGES_INDEX = 19, 11, 12, 21
"""Fields 22, 14, 15 and 24 of ``/proc/PID/stat`` (proc_pid_stat(5)), as indexes into the fields after the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUsage:
    """The resource usage of one process.

    Attributes:
        cpu_seconds: CPU time in user and system mode.
        resident_bytes: Resident memory.
        open_descriptors: Number of open file descriptors.
        started_at: Start time in Unix seconds.
    """

    cpu_seconds: float
    resident_bytes: int
    open_descriptors: int
    started_at: float


_CLOCK_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def read_process_usage(pid: int) -> ProcessUsage | None:
    """Return the usage of a process, or ``None`` if its files in ``/proc`` do not exist or cannot be read."""
    folder = Path(f"/proc/{pid}")
    try:
        # The name in parentheses may itself contain spaces and parentheses, so split after the last one.
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return ProcessUsage(
            cpu_seconds=(int(fields[_USER_TIME_INDEX]) + int(fields[_SYSTEM_TIME_INDEX])) / _CLOCK_TICKS_PER_SECOND,
            resident_bytes=int(fields[_RESIDENT_PAGES_INDEX]) * _PAGE_BYTES,
            open_descriptors=sum(1 for _ in (folder / "fd").iterdir()),
            started_at=_boot_time() + int(fields[_START_TIME_INDEX]) / _CLOCK_TICKS_PER_SECOND,
        )
    except (OSError, ValueError, IndexError):
        return None


def _boot_time() -> int:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    raise ValueError("no boot time")
