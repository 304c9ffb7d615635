"""Reads the state, children, arguments and environment of processes from /proc."""

from __future__ import annotations

from pathlib import Path

__all__ = ["arguments_of", "descendants", "environment_of", "is_alive", "processes_exposing"]


def is_alive(pid: int) -> bool:
    """Return whether the process is running; a zombie is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def descendants(pid: int) -> set[int]:
    """Return the running descendants of a process."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return {child for child in found if is_alive(child)}


def arguments_of(pid: int) -> str:
    """Return the command line, as ``ps`` shows it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that the process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def processes_exposing(text: str, pids: set[int]) -> list[int]:
    """Return those of the processes that have the text in their arguments or environment."""
    return [pid for pid in pids if text in arguments_of(pid) or text in str(environment_of(pid))]
