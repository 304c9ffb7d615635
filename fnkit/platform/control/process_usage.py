"""CPU, memory and open descriptors of a process, from ``/proc`` (Linux only)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ProcessUsage", "process_usage"]

_STARTED, _USER, _SYSTEM, _RESIDENT = 19, 11, 12, 21
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
    started: float


_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def process_usage(pid: int) -> ProcessUsage | None:
    """Return the usage of a process, or ``None`` if its files in ``/proc`` do not exist or cannot be read."""
    folder = Path(f"/proc/{pid}")
    try:
        # The name in parentheses may itself contain spaces and parentheses, so split after the last one.
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return ProcessUsage(
            cpu_seconds=(int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS,
            resident_bytes=int(fields[_RESIDENT]) * _PAGE,
            open_descriptors=sum(1 for _ in (folder / "fd").iterdir()),
            started=_boot_time() + int(fields[_STARTED]) / _TICKS,
        )
    except (OSError, ValueError, IndexError):
        return None


def _boot_time() -> int:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    raise ValueError("no boot time")
