"""Platforms that a test has started and not stopped: nothing else would end them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import arguments_of

_SUPERVISORS = ("fnkit.platform.supervisor.supervisor", "fnkit platform start")
_PATTERNS = ("run.json", "*/run.json", "*/*/run.json", ".local/share/fnkit/run.json", "*/cache/dev/*/run.json")
_ENDING_SECONDS = 5.0
"""A platform whose owner was killed ends by itself, a moment later."""


def stop_left_platforms(*directories: Path) -> list[Path]:
    """Stop the platforms whose data directories are in one of these directories; return their data directories."""
    return [data for data in sorted(set(_data_directories(directories))) if _stop(data)]


def _data_directories(directories: tuple[Path, ...]) -> Iterator[Path]:
    for directory in directories:
        for pattern in _PATTERNS:
            yield from (file.parent for file in directory.glob(pattern))


def _stop(data: Path) -> bool:
    """Stop a platform unless it ends by itself; return whether it had to be stopped."""
    # Imported late: few tests have a platform.
    from fnkit.platform.supervisor.launcher import find_running_platform, stop_platform

    deadline = time.monotonic() + _ENDING_SECONDS
    while (found := find_running_platform(data)) is not None and _is_supervisor(found.run_file.pid):
        if time.monotonic() > deadline:
            return stop_platform(data)
        time.sleep(0.05)
    return False


def _is_supervisor(pid: int) -> bool:
    """Return whether a process is a platform: tests of run files name processes of their own, even this one."""
    try:
        arguments = arguments_of(pid)
    except OSError:  # it has ended, or the system does not tell
        return False
    return pid != os.getpid() and any(one in arguments for one in _SUPERVISORS)
