"""The lock of a data directory, held by the supervisor, so that concurrent starts make one platform."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["AlreadyLocked", "acquire_lock"]


class AlreadyLocked(Exception):
    """Another process holds the lock of this data directory."""


def acquire_lock(data_dir: Path) -> int:
    """Lock the data directory, and return the descriptor that holds the lock.

    The kernel releases a flock(2) when its last descriptor closes, also after SIGKILL, so no stale lock remains.
    O_CLOEXEC keeps child processes from inheriting it and holding the lock longer than this process.

    Raises:
        TakenError: Another process is starting, running or resetting this platform.
    """
    descriptor = os.open(data_dir / "platform.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyLocked from None
    return descriptor
