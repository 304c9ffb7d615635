"""Processes as the system shows them: who lives, whose child, with which arguments and environment."""

from __future__ import annotations

from pathlib import Path

__all__ = ["alive", "arguments_of", "descendants", "environment_of", "known_to_the_system"]


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def descendants(pid: int) -> set[int]:
    """All living processes below one, its own excluded."""
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
    return {child for child in found if alive(child)}


def arguments_of(pid: int) -> str:
    """What ``ps`` shows."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def environment_of(pid: int) -> dict[str, str]:
    """The environment that the process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def known_to_the_system(text: str, pids: set[int]) -> list[int]:
    """Those of the processes in whose arguments or environment the text stands."""
    return [pid for pid in pids if text in arguments_of(pid) or text in str(environment_of(pid))]
