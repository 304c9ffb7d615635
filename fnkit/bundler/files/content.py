"""File contents of an archive: hashed once, verified again when copied, written atomically."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnkit.errors import BundleError

TEMPORARY_PREFIX = ".fnkit-tmp-"
"""Prefix of temporary names. No reader opens such a file, so a killed writer cannot leave a partial result."""
_ABANDONED_SECONDS = 24 * 3600
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_CHUNK_BYTES = 1 << 20


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to ``path`` when the block succeeds and removed when it raises.

    The file is flushed to disk before the rename, so that a crash of the machine cannot leave an empty file under
    the final name. Missing parent directories are created.

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
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError):
            raise unwritable_file_error(path, error) from error
        raise


def unwritable_file_error(path: Path, error: OSError) -> BundleError:
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


@dataclass(frozen=True, slots=True)
class FileContent:
    """One source file and the hashes of its bytes. ``executable`` is the owner's execute bit."""

    source: Path
    sha256: str
    crc32: int
    size: int
    executable: bool


ContentByPath = Mapping[str, FileContent]
"""Content by path in the archive."""


def hash_file(source: Path, name: str) -> FileContent:
    """Hash a file and return its content record.

    The file is always read. Modification times are not trusted: an edit within the clock's granularity, or a
    restored time, would give a stale digest, and a stale digest keeps old code deployed.

    Args:
        source: Path on disk.
        name: Path shown in error messages.

    Raises:
        BundleError: ``unreadable-file``.
    """
    digest, crc, size = hashlib.sha256(), 0, 0
    try:
        with source.open("rb") as file:
            executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
    except OSError as error:
        raise unreadable_file_error(name, error) from error
    return FileContent(source, digest.hexdigest(), crc, size, executable)


def unreadable_file_error(name: str, error: OSError) -> BundleError:
    """Return the error for a file or directory of the project that cannot be read."""
    return BundleError(
        f"{name} cannot be read: {(error.strerror or str(error)).lower()}.",
        code="unreadable-file",
        hint="Make it readable, or list it in .fnkitignore.",
    )


def read_verified(content: FileContent, name: str) -> bytes:
    """Return a file's bytes after checking that they are the ones that were hashed.

    Raises:
        BundleError: ``changed-while-bundling``.
    """
    try:
        data = content.source.read_bytes()
    except OSError as error:
        raise _file_changed_error(name) from error
    if hashlib.sha256(data).hexdigest() != content.sha256:
        raise _file_changed_error(name)
    return data


def _file_changed_error(name: str) -> BundleError:
    """Return the error for a file that changed after it was hashed."""
    return BundleError(
        f"{name} changed during bundling.", code="changed-while-bundling", hint="Run the command again."
    )
