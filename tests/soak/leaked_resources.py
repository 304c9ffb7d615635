"""Finds the resources that a stopped platform has leaked, and measures those of a running process."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import descendants

__all__ = ["LeakedResources", "find_leaked_resources", "process_usage"]


@dataclass(frozen=True, slots=True)
class LeakedResources:
    """Resources that exist after the platform was stopped."""

    processes: list[str]
    cgroups: list[str]
    directories: list[str]
    mounts: int

    def __bool__(self) -> bool:
        return bool(self.processes or self.cgroups or self.directories or self.mounts)


def find_leaked_resources(home: Path, known_pids: set[int]) -> LeakedResources:
    """Find the resources of the platform in this directory; ``known_pids`` are those of its processes."""
    socket_folder = Path(json.loads((home / "run.json").read_text())["socket_folder"])
    # Instances name neither, but the number of their data plane.
    marks = (str(home), str(socket_folder), *(f"FNKIT_DATA_PLANE={pid}\0" for pid in known_pids))
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state not in "ZX" and any(mark.encode() in text for mark in marks):
                processes.append(f"{entry.name} {text[:120]!r}")
    groups = [
        str(path)
        for pattern in ("fnkit-*", "*/fnkit-*")
        for path in Path("/sys/fs/cgroup").glob(pattern)
        if path.name.split("-")[1] in map(str, known_pids)
    ]
    folders = [
        str(path) for path in (socket_folder, *Path(tempfile.gettempdir()).glob("instances-*")) if path.exists()
    ]
    mounts = sum(line.count(str(socket_folder)) for line in Path("/proc/self/mounts").read_text().splitlines())
    return LeakedResources(processes, groups, folders, mounts)


def process_usage(pid: int) -> tuple[int, int, int]:
    """Return the number of descriptors of a process, its memory in KiB, and its number of descendants."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return len(os.listdir(f"/proc/{pid}/fd")), resident, len(descendants(pid))  # noqa: PTH208  (names are enough)
