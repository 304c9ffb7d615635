"""Files that are either whole or not there: written beside their place, then renamed."""

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

__all__ = ["TEMPORARY_PREFIX", "atomic_file", "sweep_temporary", "unwritable"]

TEMPORARY_PREFIX = ".fnkit-tmp-"
"""No reader ever looks at a name that starts so: a killed writer leaves nothing that could be mistaken."""
_ABANDONED_SECONDS = 24 * 3600
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        BundleError: ``disk-full`` or ``not-writable``, naming the place.
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
            raise unwritable(path, error) from error
        raise


def unwritable(path: Path, error: OSError) -> BundleError:
    """Return the error for a place that could not be written to."""
    if error.errno in _FULL:
        return BundleError(
            f"There is no room to write {path.name} in {path.parent}.",
            code="disk-full",
            hint="Make room there, or choose another place for it.",
        )
    return BundleError(
        f"{path.name} cannot be written in {path.parent}: {(error.strerror or str(error)).lower()}.",
        code="not-writable",
        hint="Choose a place where you may write.",
    )


def sweep_temporary(folder: Path) -> None:
    """Remove what writers that were killed left in a folder a day ago or earlier."""
    with suppress(OSError):
        for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink()
