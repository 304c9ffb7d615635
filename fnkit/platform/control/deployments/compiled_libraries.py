"""Compiled standard libraries, with which the caches of functions begin.

Compiling one takes most of a function's first build. It is made once for each version of a language, by a build
without code of strangers, and is kept in the user's cache directory for all platforms of the user.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from fnkit.contract.user_cache import user_cache_directory
from fnkit.platform.control.deployments.build_job import BuildJob
from fnkit.platform.directory_tree import remove_tree, walk_tree

_POLL_SECONDS: Final = 0.05
_UNUSED_SECONDS: Final = 30 * 24 * 3600
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def libraries_directory(environ: Mapping[str, str]) -> Path | None:
    """Return the directory of the libraries; ``None`` if the user has no home."""
    try:
        return user_cache_directory(environ) / "libraries"
    except RuntimeError:
        return None


def provide_library(
    job: BuildJob, name: str, compile_library: Callable[[], AbstractContextManager[Path]]
) -> Path | None:
    """Return a library, which is compiled if it is missing. Others that were not used for 30 days are removed then.

    Args:
        job: The build that needs it.
        name: Its name, which has all that its content depends on.
        compile_library: Compiles it, and yields a directory that may be moved.

    Returns:
        Its directory; ``None`` if there is no directory of libraries that only this user can write to.

    Raises:
        BuildFailed: It cannot be compiled, or waiting for another build of it takes too long.
        BuildStopped: The build was stopped.
        OSError: It cannot be written.
    """
    if job.libraries is None or not _is_private(job.libraries):
        return None
    library = job.libraries / name
    with _hold(library.with_name(f"{name}.lock"), job):
        if library.is_dir():
            os.utime(library)
        else:
            _remove_unused(job.libraries)
            with compile_library() as compiled:
                _move(compiled, library)
    return library


def _is_private(directory: Path) -> bool:
    """Create the directory, and return whether only this user can write to it: it is trusted by all functions."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return is_own and not status.st_mode & _OTHERS_MAY_WRITE and os.access(directory, os.W_OK)


@contextmanager
def _hold(path: Path, job: BuildJob) -> Iterator[None]:
    """Let other builds wait, also those of other platforms."""
    lock = FileLock(path)
    while not lock.is_locked:
        job.check()
        with suppress(Timeout):
            lock.acquire(timeout=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _move(compiled: Path, library: Path) -> None:
    """Move a directory, also to another file system, such that it is there as a whole or not at all."""
    new = library.with_name(f".{library.name}.new")
    remove_tree(new)
    try:
        compiled.rename(new)
    except OSError:
        shutil.copytree(compiled, new, symlinks=True)
    for entry in walk_tree(new):
        os.chown(entry.name, os.geteuid(), os.getegid(), dir_fd=entry.parent, follow_symlinks=False)
    os.chown(new, os.geteuid(), os.getegid())
    new.rename(library)


def _remove_unused(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and entry.stat().st_mtime < time.time() - _UNUSED_SECONDS:
            remove_tree(entry)
