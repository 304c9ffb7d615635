"""Atomic file writes: a file is written under a temporary name in the same directory, then renamed."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fnkit.errors import BundleError

__all__ = ["TEMPORARY_PREFIX", "atomic_file", "remove_stale_temporary_files", "write_error"]

TEMPORARY_PREFIX = ".fnkit-tmp-"
"""Prefix of temporary names. No reader opens such a file, so a killed writer cannot leave a partial result."""
_ABANDONED_SECONDS = 24 * 3600
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to ``path`` when the block succeeds and removed when it raises.

    The file is flushed to disk before the rename, so that a crash of the machine cannot leave an empty file under
    the final name. Missing parent directories are created. The file's mode is 0644.

    Raises:
        BundleError: ``disk-full`` or ``not-writable``, naming the file and its directory.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise


def write_error(path: Path, error: OSError) -> BundleError:
    """Return the error for a file that could not be written."""
    if error.errno in _DISK_FULL_ERRNOS:
        return BundleError(
            f"There is not enough space to write {path.name} in {path.parent}.",
            code="disk-full",
            hint="Free some space there, or choose another directory.",
        )
    return BundleError(
        f"{path.name} cannot be written to {path.parent}: {(error.strerror or str(error)).lower()}.",
        code="not-writable",
        hint="Choose a directory that you can write to.",
    )


def remove_stale_temporary_files(directory: Path) -> None:
    """Remove temporary files older than a day, which killed writers left in a directory.

    Younger files may belong to a writer that is still running.
    """
    with suppress(OSError):
        for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink()
