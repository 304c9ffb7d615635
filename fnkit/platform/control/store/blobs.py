"""Uploaded archives, stored as files named by their SHA-256.

An archive is written to a temporary file, synced and renamed, so that a file under its hash is always complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from fnkit.errors import PlatformError

_ARCHIVE_NAME: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """A complete archive.

    Attributes:
        sha256: Hex digest, the archive's name.
        md5: Hex digest, which the upload's response carries as ``ETag``, as S3 does; empty if none was wanted.
        size: Size in bytes.
    """

    sha256: str
    md5: str
    size: int


class BlobWriter:
    """Writes one archive: ``write`` repeatedly, then ``finish``, then ``commit``. After any error, ``discard``.

    Attributes:
        path: The temporary file.
        size: Number of bytes written so far.
    """

    def __init__(self, folder: Path, *, with_md5: bool) -> None:
        self._folder = folder
        descriptor, name = tempfile.mkstemp(prefix=".incoming-", dir=folder)
        self.path = Path(name)
        self._stream = os.fdopen(descriptor, "wb")
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            OSError: The chunk could not be written.
        """
        self._stream.write(chunk)
        self._sha256.update(chunk)
        if self._md5 is not None:
            self._md5.update(chunk)
        self.size += len(chunk)

    def finish(self) -> Blob:
        """Sync the file and return its digests. Blocks on the disk, so call it in a thread."""
        with self._stream:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        md5 = self._md5.hexdigest() if self._md5 is not None else ""
        return Blob(self._sha256.hexdigest(), md5, self.size)

    def commit(self) -> None:
        """Rename a finished archive to its hash, atomically and durably."""
        self.path.replace(self._folder / self._sha256.hexdigest())
        # A rename is durable only once the directory is synced as well.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Close and delete the temporary file. Does nothing after ``commit``."""
        with suppress(OSError):  # closing flushes buffered bytes, which fails on a full disk
            self._stream.close()
        self.path.unlink(missing_ok=True)


class BlobStore:
    """The directory of archives. Temporary files of interrupted uploads are deleted on construction."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in folder.glob(".incoming-*"):
            with suppress(IsADirectoryError):
                leftover.unlink(missing_ok=True)

    def writer(self, *, with_md5: bool = True) -> BlobWriter:
        """Return a writer for a new archive. Its MD5 takes twice the time of its SHA-256."""
        return BlobWriter(self._folder, with_md5=with_md5)

    def path(self, sha256: str) -> Path:
        """Return the path of an archive, whether it exists or not."""
        return self._folder / sha256

    def open(self, sha256: str) -> BinaryIO:
        """Open an archive for reading, after checking it. The open file stays readable after ``remove``.

        Reads the whole file, so call it in a thread.

        Raises:
            PlatformError: ``archive-missing`` or ``archive-damaged``.
            OSError: The archive cannot be read.
        """
        hint = "Deploy the function again, or restore a backup with `fnkit platform restore`."
        try:
            stream = self.path(sha256).open("rb")
        except (FileNotFoundError, IsADirectoryError):
            raise PlatformError(f"The archive {sha256} is missing.", code="archive-missing", hint=hint) from None
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            stream.close()
            raise PlatformError(f"The archive {sha256} is damaged.", code="archive-damaged", hint=hint)
        stream.seek(0)
        return stream

    def remove(self, sha256: str) -> bool:
        """Delete an archive if it exists. Return ``False`` if a backup has to keep all of them now."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path(sha256).unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(folder)
        return True

    def hashes(self) -> set[str]:
        """Return the hashes of all archives."""
        return archive_names(self._folder)


@contextmanager
def kept_archives(folder: Path) -> Iterator[None]:
    """Keep the platform, which may be running, from removing archives meanwhile. Ends with this process at last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # the platform holds its lock for one removal only
        yield
    finally:
        os.close(descriptor)


def archive_names(folder: Path) -> set[str]:
    """Return the names of the archives in a directory, an empty set if there is none. Other entries are ignored."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {one.name for one in entries if _ARCHIVE_NAME.fullmatch(one.name) and one.is_file(follow_symlinks=False)}
