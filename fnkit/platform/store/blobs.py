"""Uploaded archives by sha256: a temporary file, synchronised, then renamed; never half of one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Blob", "BlobWriter", "Blobs"]


@dataclass(frozen=True, slots=True)
class Blob:
    """A complete archive. ``md5`` is what S3 shows as its ETag."""

    sha256: str
    md5: str
    size: int


class BlobWriter:
    """One archive on its way in: ``write``, ``finish``, ``keep``; ``discard`` whenever something went wrong."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=folder)
        self._path = Path(name)
        self._stream = os.fdopen(descriptor, "wb")
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append; ``OSError`` where the disk says no."""
        self._stream.write(chunk)
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self.size += len(chunk)

    def finish(self) -> Blob:
        """Make the bytes durable. Blocks for as long as the disk takes; nothing refers to them yet."""
        with self._stream:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        return Blob(self._sha256.hexdigest(), self._md5.hexdigest(), self.size)

    def keep(self) -> None:
        """Put a finished archive under its hash, in one step."""
        self._path.replace(self._folder / self._sha256.hexdigest())
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Forget it."""
        with suppress(OSError):  # what is thrown away need not reach the disk
            self._stream.close()
        self._path.unlink(missing_ok=True)


class Blobs:
    """The folder of archives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in folder.glob(".incoming-*"):
            leftover.unlink(missing_ok=True)

    def writer(self) -> BlobWriter:
        """Begin an archive."""
        return BlobWriter(self._folder)

    def path(self, sha256: str) -> Path:
        """Where an archive lies."""
        return self._folder / sha256

    def open(self, sha256: str) -> BinaryIO:
        """Open an archive; what is open stays readable after ``remove``."""
        return self.path(sha256).open("rb")

    def remove(self, sha256: str) -> None:
        """Remove an archive, if it is there."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Every archive's hash."""
        return {entry.name for entry in self._folder.iterdir() if not entry.name.startswith(".")}
