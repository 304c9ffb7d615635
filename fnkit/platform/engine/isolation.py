"""Isolation levels: what protects the platform, other functions and the machine from an instance.

``TABLE`` is data: ``docs/isolation.md`` shows it, the platform reports what the level in use leaves unenforced, and
tests check each enforced cell from inside a handler. Memory, processes and CPU of an instance are limited through
cgroups, version 1 or 2, which only root can create: ``<hierarchy>/fnkit-<pid of the data
plane>-<random>/<instance>``.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TABLE", "Protection", "Level", "candidate_levels", "unenforced"]


class Level(Enum):
    """From the strongest to none. The values are those of ``--isolation`` and ``platform status``."""

    CGROUP = "cgroup"  # root only: cgroups, a root directory, namespaces, a user per deployment
    NAMESPACES = "namespaces"  # any user: the same in a user namespace, limits per process
    LANDLOCK = "landlock"  # where user namespaces are refused: filtered files, limits per process
    NONE = "none"  # on request only: a child process with a clean environment


class Protection(Enum):
    """What a handler cannot reach or exceed."""

    DATA_DIRECTORY = "the platform's data folder and keys"
    OTHER_CODE = "other functions' code"
    PROCESSES = "other processes' environment and /proc"
    SIGNALS = "signals to other processes"
    ATTRIBUTES = "modes and owners of files outside"
    PLATFORM_SOCKETS = "the platform's private sockets"
    MEMORY = "memory of the whole instance"
    CPU = "CPU by weight"
    DISK = "disk of the instance"
    PIDS = "number of processes"
    DESCRIPTORS = "number of open descriptors"


_NAMESPACED: Final = frozenset(
    {
        Protection.DATA_DIRECTORY,
        Protection.OTHER_CODE,
        Protection.PROCESSES,
        Protection.SIGNALS,
        Protection.ATTRIBUTES,
        Protection.PLATFORM_SOCKETS,
        Protection.MEMORY,
        Protection.DISK,
        Protection.PIDS,
        Protection.DESCRIPTORS,
    }
)

TABLE: Final[dict[Level, frozenset[Protection]]] = {
    Level.CGROUP: _NAMESPACED | {Protection.CPU},
    Level.NAMESPACES: _NAMESPACED,
    Level.LANDLOCK: frozenset(
        {
            Protection.DATA_DIRECTORY,
            Protection.OTHER_CODE,
            Protection.PROCESSES,
            Protection.MEMORY,
            Protection.DESCRIPTORS,
        }
    ),
    Level.NONE: frozenset({Protection.DESCRIPTORS}),
}
"""What each level enforces. Below ``CGROUP`` the kernel limits the memory per process, ``LimitMonitor`` the sum."""


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
