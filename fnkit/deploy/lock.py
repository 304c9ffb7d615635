"""A lock that serialises deploys of one project and stage to one API on this machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fnkit.deploy.events import EventCallback, WaitingForLock
from fnkit.errors import DeployError

_POLL_SECONDS: Final = 0.1


@contextmanager
def deploy_lock(directory: Path, *, key: tuple[str, ...], wait: bool, report: EventCallback) -> Iterator[None]:
    """Hold the lock of ``key`` during the block. The operating system releases it when the process dies.

    Args:
        directory: Directory for lock files.
        key: Strings that identify the locked project; hashed into the lock's name.
        wait: Wait for another holder instead of failing.
        report: Called when the lock is held by another process.

    Raises:
        DeployError: ``deploy-under-way``: another process holds the lock and ``wait`` is false.
    """
    from filelock import FileLock, Timeout  # imported late: takes 25 ms, and only deploys need it

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    lock = FileLock(directory / f"{name}.lock")
    holder_file = directory / f"{name}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _read_holder(holder_file)
        if not wait:
            raise DeployError(
                f"Another deploy of this project is under way ({holder}).",
                code="deploy-under-way",
                hint="Run it without --no-lock-wait to wait for the other one.",
            ) from None
        report(WaitingForLock(f"another deploy of this project ({holder})"))
        lock.acquire(poll_interval=_POLL_SECONDS)
    try:
        holder_file.write_text(f"process {os.getpid()}", encoding="utf-8")
        yield
    finally:
        holder_file.unlink(missing_ok=True)
        lock.release()


def _read_holder(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
