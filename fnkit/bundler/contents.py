"""File contents of an archive: hashed once, verified again when copied, written atomically."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.errors import BundleError

__all__ = ["FileContent", "ContentByPath", "file_changed_error", "read_verified", "hash_file", "hash_files"]

_CHUNK_BYTES = 1 << 20


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
        raise BundleError(
            f"{name} cannot be read: {(error.strerror or str(error)).lower()}.",
            code="unreadable-file",
            hint="Make it readable, or list it in .fnkitignore.",
        ) from error
    return FileContent(source, digest.hexdigest(), crc, size, executable)


def read_verified(content: FileContent, name: str) -> bytes:
    """Return a file's bytes after checking that they are the ones that were hashed.

    Raises:
        BundleError: ``changed-while-bundling``.
    """
    try:
        data = content.source.read_bytes()
    except OSError as error:
        raise file_changed_error(name) from error
    if hashlib.sha256(data).hexdigest() != content.sha256:
        raise file_changed_error(name)
    return data


def file_changed_error(name: str) -> BundleError:
    """Return the error for a file that changed after it was hashed."""
    return BundleError(
        f"{name} changed during bundling.", code="changed-while-bundling", hint="Run the command again."
    )


def hash_files(root: Path, paths: tuple[str, ...]) -> dict[str, FileContent]:
    """Hash several files of a project and return their content by path.

    Raises:
        BundleError: ``unreadable-file``.
    """
    return {path: hash_file(root / path, path) for path in paths}
