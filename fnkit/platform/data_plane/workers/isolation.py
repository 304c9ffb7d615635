"""Isolation levels: what protects the platform, other functions and the machine from an instance.

``TABLE`` is data: ``docs/isolation.md`` shows it, the platform reports what the level in use leaves unenforced, and
tests check each enforced cell from inside a handler. Memory, processes and CPU of an instance are limited through
cgroups, version 1 or 2, which only root can create: ``<hierarchy>/fnkit-<pid of the data
plane>-<random>/<instance>``.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

_MOUNT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("memory", "pids", "cpu")
_GROUP_PREFIX: Final = "fnkit-"
_MIB: Final = 1024 * 1024
_SHARES_PER_CPU: Final = 1024  # v1's cpu.shares of one whole CPU
_CLOSE_TIMEOUT: Final = 2.0
_CLOSE_INTERVAL: Final = 0.005
_WEIGHT_PER_CPU: Final = 100  # v2's cpu.weight
_PERIOD_MICROSECONDS: Final = 100_000  # the kernel's own default


@dataclass(frozen=True, slots=True)
class InstanceGroups:
    """The directories of one instance's groups by controller; under version 2 they are the same directory."""

    directories: dict[str, Path]
    is_unified: bool

    @property
    def procs_files(self) -> list[str]:
        """The files to which a process writes ``0`` in order to join."""
        return sorted({str(folder / "cgroup.procs") for folder in self.directories.values()})

    def limit(self, *, memory: int, cpu: int, processes: int, hard_cpu: bool = False) -> None:
        """Set the limits.

        Args:
            memory: MB.
            cpu: mVCPU, used as a weight.
            processes: The maximum number of processes.
            hard_cpu: Use ``cpu`` as a maximum too.
        """
        size = memory * _MIB
        if self.is_unified:
            folder = self.directories["memory"]
            _write(folder / "memory.max", size)
            with contextlib.suppress(OSError):
                _write(folder / "memory.swap.max", 0)
            with contextlib.suppress(OSError):  # Linux 4.19: kills all processes of the group, not one of them
                _write(folder / "memory.oom.group", 1)
            _write(folder / "pids.max", processes)
            _write(folder / "cpu.weight", max(1, cpu * _WEIGHT_PER_CPU // 1000))
            if hard_cpu:
                _write(folder / "cpu.max", f"{_cpu_quota(cpu)} {_PERIOD_MICROSECONDS}")
            return
        _write(self.directories["memory"] / "memory.limit_in_bytes", size)
        with contextlib.suppress(OSError):  # the file exists only if swap is accounted
            _write(self.directories["memory"] / "memory.memsw.limit_in_bytes", size)
        _write(self.directories["pids"] / "pids.max", processes)
        _write(self.directories["cpu"] / "cpu.shares", max(2, cpu * _SHARES_PER_CPU // 1000))
        if hard_cpu:
            _write(self.directories["cpu"] / "cpu.cfs_period_us", _PERIOD_MICROSECONDS)
            _write(self.directories["cpu"] / "cpu.cfs_quota_us", _cpu_quota(cpu))

    def add_process(self, pid: int) -> None:
        """Add a process that cannot reach these files itself. Blocks for milliseconds."""
        for path in self.procs_files:
            with contextlib.suppress(ProcessLookupError):  # the process has ended
                _write(Path(path), pid)

    def memory_bytes(self) -> int | None:
        """Return the memory that the group uses now; ``None`` if the kernel does not report it."""
        name = "memory.current" if self.is_unified else "memory.usage_in_bytes"
        with contextlib.suppress(OSError, ValueError):
            return int((self.directories["memory"] / name).read_bytes())
        return None

    def ran_out_of_memory(self) -> bool:
        """Return whether the kernel killed a process of the group for lack of memory."""
        name = "memory.events" if self.is_unified else "memory.oom_control"
        with contextlib.suppress(OSError, KeyError):
            for line in (self.directories["memory"] / name).read_text().splitlines():
                key, _, count = line.partition(" ")
                if key == "oom_kill":
                    return int(count) > 0
        return False

    def remove(self) -> bool:
        """Remove the groups. Return ``False`` while a process in them is still ending."""
        removed = True
        for folder in set(self.directories.values()):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                removed = False
        return removed


def _cpu_quota(cpu: int) -> int:
    """Return CPU time in microseconds per period. The kernel accepts 1,000 at least."""
    return max(1000, cpu * _PERIOD_MICROSECONDS // 1000)


def _write(path: Path, value: int | str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


class ControlGroups:
    """The groups of this data plane.

    Raises:
        OSError: Groups cannot be created here.
    """

    def __init__(self) -> None:
        self._is_unified = (_MOUNT / "cgroup.controllers").exists()
        name = f"{_GROUP_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        bases = [_MOUNT] if self._is_unified else [_MOUNT / controller for controller in _CONTROLLERS]
        for base in bases:
            _remove_abandoned(base)
        self._parents = {
            controller: (_MOUNT if self._is_unified else _MOUNT / controller) / name for controller in _CONTROLLERS
        }
        for base, parent in zip(bases, dict.fromkeys(self._parents.values()), strict=True):
            if self._is_unified:
                _enable_controllers(base)
            parent.mkdir(exist_ok=True)
            if self._is_unified:
                _enable_controllers(parent)

    def create(self, instance: str) -> InstanceGroups:
        """Create the groups of one instance, without limits."""
        folders = {controller: parent / instance for controller, parent in self._parents.items()}
        for folder in dict.fromkeys(folders.values()):
            folder.mkdir()
        return InstanceGroups(folders, self._is_unified)

    def close(self) -> None:
        """Remove the groups once their processes have ended, which takes milliseconds."""
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        for parent in dict.fromkeys(self._parents.values()):
            _remove_tree(parent)
            while parent.exists() and time.monotonic() < deadline:
                time.sleep(_CLOSE_INTERVAL)
                _remove_tree(parent)
            _remove_abandoned(parent.parent)  # some could not be removed before: their processes were still ending


def _enable_controllers(directory: Path) -> None:
    (directory / "cgroup.subtree_control").write_text("+memory +pids +cpu")


def _remove_tree(parent: Path) -> None:
    with contextlib.suppress(OSError):
        for child in parent.iterdir():
            if child.is_dir():
                with contextlib.suppress(OSError):
                    child.rmdir()
        parent.rmdir()


def _remove_abandoned(base: Path) -> None:
    """Remove the groups of data planes that were killed."""
    for parent in base.glob(f"{_GROUP_PREFIX}*"):
        pid = parent.name.removeprefix(_GROUP_PREFIX).split(".")[0].partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _remove_tree(parent)


class Level(Enum):
    """From the strongest to none. The values are those of ``--isolation`` and ``platform status``."""

    CGROUP = "cgroup"  # root only: cgroups, a root directory, namespaces, a user per deployment
    NAMESPACES = "namespaces"  # any user: the same in a user namespace, limits per process
    LANDLOCK = "landlock"  # where user namespaces are refused: filtered files, limits per process
    NONE = "none"  # on request only: a child process with a clean environment

    @property
    def has_namespaces(self) -> bool:
        """Whether instances have namespaces, and a root directory of their own."""
        return self in (Level.CGROUP, Level.NAMESPACES)


class Protection(Enum):
    """What a handler cannot reach or exceed."""

    DATA_DIRECTORY = "the platform's data folder and keys"
    OTHER_CODE = "other functions' code"
    PROCESSES = "other processes' environment and /proc"
    SIGNALS = "signals to other processes"
    ATTRIBUTES = "modes and owners of files outside"
    PLATFORM_SOCKETS = "the platform's private sockets"
    PROCESS_LIMITS = "limits and priority of other processes"
    SHARED_OBJECTS = "shared memory and queues that outlive it"
    MEMORY = "memory of the whole instance"
    CPU = "CPU by weight"
    DISK = "disk of the instance"
    PIDS = "number of processes"
    DESCRIPTORS = "number of open descriptors"
    USERS = "the user of other deployments (as root)"


TABLE: Final[dict[Level, frozenset[Protection]]] = {
    Level.CGROUP: frozenset(Protection),
    Level.NAMESPACES: frozenset(Protection) - {Protection.CPU},
    Level.LANDLOCK: frozenset(
        {
            Protection.DATA_DIRECTORY,
            Protection.OTHER_CODE,
            Protection.PROCESSES,
            Protection.PLATFORM_SOCKETS,
            Protection.PROCESS_LIMITS,
            Protection.SHARED_OBJECTS,
            Protection.MEMORY,
            Protection.DISK,
            Protection.DESCRIPTORS,
        }
    ),
    Level.NONE: frozenset({Protection.DESCRIPTORS}),
}
"""What each level enforces. Below ``CGROUP`` the kernel limits the memory per process, the usage meter the sum."""


def unenforced(level: Level) -> tuple[Protection, ...]:
    """Return what this level does not enforce, in the order of the table."""
    return tuple(aspect for aspect in Protection if aspect not in TABLE[level])


def candidate_levels(wanted: str, *, is_root: bool) -> tuple[Level, ...]:
    """Return the levels to try, best first.

    A level that is requested by name is tried alone, so that it is never lowered without notice.

    Args:
        wanted: A level by name; ``auto`` or empty for all levels that hide the data directory.
        is_root: Whether this process is root.

    Raises:
        ValueError: There is no such level.
    """
    if wanted not in ("", "auto"):
        return (Level(wanted),)
    if is_root:
        return (Level.CGROUP, Level.NAMESPACES, Level.LANDLOCK)
    return (Level.NAMESPACES, Level.LANDLOCK)
