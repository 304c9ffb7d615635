"""The platform's lock: held by its supervisor as long as that lives, so two starts at once make one platform."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["TakenError", "take_lock"]


class TakenError(Exception):
    """Another supervisor holds this platform's lock."""


def take_lock(home: Path) -> int:
    """Lock the data folder until the returned descriptor is closed or this process ends, however it ends.

    Children do not inherit the descriptor.

    Raises:
        TakenError: somebody else is starting or running this platform.
    """
    descriptor = os.open(home / "platform.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TakenError from None
    return descriptor
