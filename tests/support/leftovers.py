"""What a data plane holds of the machine, as the system shows it: what must not grow."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.engine.engine import EngineSettings
from tests.support.data_plane import DataPlaneProcess

__all__ = ["BLANKS", "Traces", "marked_processes", "traces_of"]

BLANKS: Final[int] = next(int(str(field.default)) for field in fields(EngineSettings) if field.name == "prewarmed")
"""Prepared instances that an engine has in hand when it has nothing to do."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Numbers of what is held. processes: every one that was started below, wherever it went."""

    processes: int
    descriptors: int
    mounts: int
    groups: int
    folders: int

    def within(self, other: Traces) -> bool:
        """Nothing is more than there."""
        return all(getattr(self, name) <= getattr(other, name) for name in self.__slots__)


def marked_processes(mark: str) -> list[int]:
    """Living processes with this text among their arguments or in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark.encode() in text and state not in "ZX":
            found.append(int(entry.name))
    return found


def traces_of(plane: DataPlaneProcess) -> Traces:
    """Count what this data plane holds now."""
    pid = plane.process.pid
    return Traces(
        processes=len(marked_processes(plane.folder.name)),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208  (no Path of a descriptor outlives it)
        mounts=Path(f"/proc/{pid}/mounts").read_text().count("\n"),
        groups=sum(name.is_dir() for parent in _groups(pid) for name in parent.iterdir()),
        folders=len(list(plane.folder.glob("instances-*/home-*"))),
    )


def _groups(pid: int) -> list[Path]:
    """This data plane's groups; version 1 has a hierarchy per controller."""
    mount = Path("/sys/fs/cgroup")
    return [*mount.glob(f"fnkit-{pid}-*"), *mount.glob(f"*/fnkit-{pid}-*")]
