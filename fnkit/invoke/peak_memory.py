"""The most memory that a process and those that it has started have used.

The kernel keeps a high-water mark of the resident memory of each process. It is read while the processes still run;
processes that have ended before are not counted. Only Linux reports it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_PEAK: Final = "VmHWM:"
_KIBIBYTE: Final = 1024


def peak_memory(pid: int) -> int | None:
    """Return the sum of the peaks of a process and its descendants, in bytes; ``None`` if it is not known."""
    peaks = [peak for process in _process_tree(pid) if (peak := _peak_of(process)) is not None]
    return sum(peaks) or None


def _process_tree(pid: int) -> Iterator[Path]:
    waiting = [_PROCESSES / str(pid)]
    while waiting:
        process = waiting.pop()
        yield process
        with suppress(OSError):  # it has ended
            for children in process.glob("task/*/children"):  # listed for the thread that started them
                waiting.extend(_PROCESSES / child for child in children.read_text().split())


def _peak_of(process: Path) -> int | None:
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith(_PEAK):
                return int(line.split()[1]) * _KIBIBYTE
    return None
