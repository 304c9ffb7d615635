"""What keeps an instance from the platform, from other functions and from the machine: the levels (decision 34).

``TABLE`` is data: ``docs/isolation.md`` shows it, start-up names what the level in force leaves open, and tests
check each enforced cell from inside a handler.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TABLE", "Aspect", "Level", "candidates", "left_open"]


class Level(Enum):
    """From the strongest to none at all. Values are what ``--isolation`` takes and ``status`` shows."""

    CGROUP = "cgroup"  # root: control groups, a root of its own, namespaces, a user per deployment
    NAMESPACES = "namespaces"  # anyone: the same in a user namespace, limits per process
    LANDLOCK = "landlock"  # where user namespaces are refused: files filtered, limits per process
    NONE = "none"  # only when asked for: a child process with a clean environment


class Aspect(Enum):
    """What a handler may not reach or exceed."""

    DATA_FOLDER = "the platform's data folder and keys"
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
        Aspect.DATA_FOLDER,
        Aspect.OTHER_CODE,
        Aspect.PROCESSES,
        Aspect.SIGNALS,
        Aspect.ATTRIBUTES,
        Aspect.PLATFORM_SOCKETS,
        Aspect.MEMORY,
        Aspect.DISK,
        Aspect.PIDS,
        Aspect.DESCRIPTORS,
    }
)

TABLE: Final[dict[Level, frozenset[Aspect]]] = {
    Level.CGROUP: _NAMESPACED | {Aspect.CPU},
    Level.NAMESPACES: _NAMESPACED,
    Level.LANDLOCK: frozenset(
        {Aspect.DATA_FOLDER, Aspect.OTHER_CODE, Aspect.PROCESSES, Aspect.MEMORY, Aspect.DESCRIPTORS}
    ),
    Level.NONE: frozenset({Aspect.DESCRIPTORS}),
}
"""Per level, what is enforced. Below ``CGROUP`` the kernel bounds each process' memory, ``watcher.py`` the sum."""


def left_open(level: Level) -> tuple[Aspect, ...]:
    """Return what this level does not enforce, in the order of the table."""
    return tuple(aspect for aspect in Aspect if aspect not in TABLE[level])


def candidates(wanted: str, *, is_root: bool) -> tuple[Level, ...]:
    """Return the levels to try, best first.

    ``auto`` (or nothing) tries all that hide the data folder; a named level is tried alone, so that it is never
    lowered in silence. Raises ``ValueError`` for a name that is no level.
    """
    if wanted not in ("", "auto"):
        return (Level(wanted),)
    if is_root:
        return (Level.CGROUP, Level.NAMESPACES, Level.LANDLOCK)
    return (Level.NAMESPACES, Level.LANDLOCK)
