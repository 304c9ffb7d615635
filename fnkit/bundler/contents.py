"""The bytes of what goes into an archive: hashed as they are now, checked again when they are copied."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.errors import BundleError

__all__ = ["Content", "Contents", "changed", "read_again", "read_content", "read_contents"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """One file: where it stands here, and what its bytes are. ``executable`` is its owner's bit."""

    source: Path
    sha256: str
    crc32: int
    size: int
    executable: bool


Contents = Mapping[str, Content]
"""Path in the archive → content."""


def read_content(source: Path, name: str) -> Content:
    """Return a file's content.

    Always read, never guessed from times: a digest that could lie would keep old code running.

    Raises:
        BundleError: ``unreadable-file``, naming it ``name``.
    """
    digest, crc, size = hashlib.sha256(), 0, 0
    try:
        with source.open("rb") as file:
            executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
    except OSError as error:
        raise BundleError(
            f"{name} cannot be read: {(error.strerror or str(error)).lower()}.",
            code="unreadable-file",
            hint="Give yourself the right to read it, or name it in .fnkitignore.",
        ) from error
    return Content(source, digest.hexdigest(), crc, size, executable)


def read_again(content: Content, name: str) -> bytes:
    """Return a file's bytes, which must be the ones that were hashed.

    Raises:
        BundleError: ``changed-while-bundling``.
    """
    try:
        data = content.source.read_bytes()
    except OSError as error:
        raise changed(name) from error
    if hashlib.sha256(data).hexdigest() != content.sha256:
        raise changed(name)
    return data


def changed(name: str) -> BundleError:
    """Return the error for a file that is no longer what was hashed."""
    return BundleError(
        f"{name} changed while it was bundled.", code="changed-while-bundling", hint="Run the command again."
    )


def read_contents(root: Path, paths: tuple[str, ...]) -> dict[str, Content]:
    """Return the contents of a project's files by their paths.

    Raises:
        BundleError: ``unreadable-file``.
    """
    return {path: read_content(root / path, path) for path in paths}
