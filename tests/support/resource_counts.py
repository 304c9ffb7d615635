"""Counts the system resources of a data plane, so that tests can detect leaks."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.local.source import LocalEngineSettings
from tests.support.data_plane import DataPlaneProcess

__all__ = ["PREWARMED", "ResourceCounts", "processes_of", "resource_counts"]

PREWARMED: Final[int] = next(
    int(str(field.default)) for field in fields(LocalEngineSettings) if field.name == "prewarmed"
)
"""The number of pre-warmed instances of an idle engine."""


@dataclass(frozen=True, slots=True)
class ResourceCounts:
    """Numbers of resources. ``processes`` includes those that were moved to another parent."""

    processes: int
    descriptors: int
    mounts: int
    cgroups: int
    home_directories: int

    def is_within(self, other: ResourceCounts) -> bool:
        """Return whether no count is larger than in ``other``."""
        return all(getattr(self, name) <= getattr(other, name) for name in self.__slots__)


def processes_of(plane: DataPlaneProcess) -> list[int]:
    """Return the running processes with the folder or the number of the data plane in arguments or environment.

    Those of its instances, which their handlers can read, do not name the folder.
    """
    marks = (plane.folder.name.encode(), b"FNKIT_DATA_PLANE=%d\0" % plane.process.pid)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if any(mark in text for mark in marks) and state not in "ZX":
            found.append(int(entry.name))
    return found


def resource_counts(plane: DataPlaneProcess) -> ResourceCounts:
    """Return the current counts of a data plane."""
    pid = plane.process.pid
    return ResourceCounts(
        processes=len(processes_of(plane)),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208  (no Path of a descriptor outlives it)
        mounts=Path(f"/proc/{pid}/mounts").read_text().count("\n"),
        cgroups=sum(name.is_dir() for parent in _cgroup_directories(pid) for name in parent.iterdir()),
        home_directories=len(list(plane.folder.glob("instances-*/home-*"))),
    )


def _cgroup_directories(pid: int) -> list[Path]:
    """Return the data plane's cgroups; version 1 has one hierarchy for each controller."""
    mount = Path("/sys/fs/cgroup")
    return [*mount.glob(f"fnkit-{pid}-*"), *mount.glob(f"*/fnkit-{pid}-*")]
