"""What a stopped platform has left on the machine, and what a running one holds."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import descendants

__all__ = ["Remains", "held", "remains"]


@dataclass(frozen=True, slots=True)
class Remains:
    """Everything of ours that is still there."""

    processes: list[str]
    groups: list[str]
    folders: list[str]
    mounts: int

    def __bool__(self) -> bool:
        return bool(self.processes or self.groups or self.folders or self.mounts)


def remains(home: Path, followed: set[int]) -> Remains:
    """Look for what the platform in this folder has left. followed: pids that were seen below it."""
    socket_folder = Path(json.loads((home / "run.json").read_text())["socket_folder"])
    marks = (str(home), str(socket_folder))
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
        if path.name.split("-")[1] in map(str, followed)
    ]
    folders = [
        str(path) for path in (socket_folder, *Path(tempfile.gettempdir()).glob("instances-*")) if path.exists()
    ]
    mounts = sum(line.count(str(socket_folder)) for line in Path("/proc/self/mounts").read_text().splitlines())
    return Remains(processes, groups, folders, mounts)


def held(pid: int) -> tuple[int, int, int]:
    """Return how many descriptors and KiB of memory a process holds, and how many processes are below it."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return len(os.listdir(f"/proc/{pid}/fd")), resident, len(descendants(pid))  # noqa: PTH208  (names are enough)
