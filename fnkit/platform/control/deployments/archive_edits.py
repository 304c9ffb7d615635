"""Archives that differ from a function's archive in files of the project only.

A client that deploys a change sends the end of the new archive: its beginning, with all packages, is that of the
archive that the function has. The new archive is put together and checked by its SHA-256, so it is the one that the
client would have uploaded. The files that differ are taken from it, and edited in the code that serves
(``fnkit.platform.control.deployments.edits``).

An edit must leave what a build of the archive would: whatever may differ is rejected, and the client uploads the
archive.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.contract.limits import ARCHIVE_MAX_BYTES, UNPACKED_MAX_BYTES
from fnkit.contract.platform import MAX_EDITED_BYTES, ArchiveEnd, EditedFile
from fnkit.platform.control.deployments.archive import ARCHIVE_ERRORS
from fnkit.platform.control.deployments.edits import check_edit
from fnkit.platform.control.store.blobs import Blob, BlobStore, BlobWriter

_CHUNK_BYTES: Final = 1 << 20


class NotAnEdit(Exception):
    """The archive has to be uploaded and built. The message says why."""


@dataclass(slots=True)
class ArchiveEdit:
    """A new archive, and what is different in it.

    Attributes:
        base: SHA-256 of the archive that the function has.
        blob: The new archive.
        files: The files that differ.
    """

    base: str
    blob: Blob
    files: tuple[EditedFile, ...] = field(repr=False)  # they contain the user's code
    _writer: BlobWriter
    _is_committed: bool = False

    def commit(self) -> None:
        """Store the archive. A function has to refer to it before anything is awaited. Can be repeated."""
        if not self._is_committed:
            self._writer.commit()
            self._is_committed = True

    def discard(self) -> None:
        """Remove the archive, unless it was stored."""
        if not self._is_committed:
            self._writer.discard()


def assemble_archive(blobs: BlobStore, base: str, end: ArchiveEnd) -> ArchiveEdit:
    """Put the new archive together. Blocks; call it in a thread. The caller commits or discards it.

    Args:
        blobs: The archives.
        base: SHA-256 of the archive that the function has.
        end: What the client sent.

    Raises:
        NotAnEdit: The archive is another one than the client's, or differs in more than files of the project.
        OSError: A file could not be read or written.
    """
    writer = blobs.writer(with_md5=False)
    try:
        return _assemble(blobs.path(base), end, writer)
    except FileNotFoundError:
        writer.discard()
        raise NotAnEdit("the archive of the function is missing") from None
    except BaseException:
        writer.discard()
        raise


def _assemble(base: Path, end: ArchiveEnd, writer: BlobWriter) -> ArchiveEdit:
    with base.open("rb") as source:
        _copy(source.read, writer, end.kept)
    writer.write(end.content)
    blob = writer.finish()
    if blob.size > ARCHIVE_MAX_BYTES:
        raise NotAnEdit("it is too large")
    if blob.sha256 != end.sha256:
        raise NotAnEdit("the archive of the function is not the one that this end belongs to")
    files = tuple(_changed_files(base, writer.path, end.kept))
    if reason := check_edit(files):
        raise NotAnEdit(reason)
    return ArchiveEdit(base.name, blob, files, writer)


def _copy(read: Callable[[int], bytes], writer: BlobWriter, length: int) -> None:
    while length > 0 and (chunk := read(min(_CHUNK_BYTES, length))):
        writer.write(chunk)
        length -= len(chunk)


def _changed_files(old: Path, new: Path, kept: int) -> Iterator[EditedFile]:
    """Yield the files that differ.

    Args:
        old: The archive that the function has.
        new: The new archive.
        kept: How many bytes at their beginnings are the same.
    """
    with _open(old) as before, _open(new) as after:
        earlier, later = _members(before), _members(after)
        left = MAX_EDITED_BYTES
        if _directories(earlier) != _directories(later):
            raise NotAnEdit("its directories are others")
        for name in earlier.keys() - later.keys():
            yield EditedFile(path=name)
        for name, member in later.items():
            known = earlier.get(name)
            if known is not None and _is_same(known, member, kept):
                continue
            if known is not None and known.external_attr != member.external_attr:
                raise NotAnEdit(f"{name} has another mode")
            left -= member.file_size  # zipfile reads no more than this of a member
            if left < 0:
                raise NotAnEdit("too many bytes of it may differ")
            content = after.read(member)
            if known is not None and known.file_size == member.file_size and before.read(known) == content:
                continue
            if member.external_attr >> 16 & 0o111:
                raise NotAnEdit(f"{name} is executable")
            yield EditedFile(path=name, content=content)


def _is_same(old: zipfile.ZipInfo, new: zipfile.ZipInfo, kept: int) -> bool:
    """Return whether both are the same bytes at the beginning of the archives."""
    fields = ("header_offset", "compress_type", "compress_size", "file_size", "CRC", "external_attr")
    return new.header_offset + new.compress_size < kept and all(
        getattr(old, field) == getattr(new, field) for field in fields
    )


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*ARCHIVE_ERRORS, OSError) as error:  # a damaged archive may have offsets that cannot be read
        raise NotAnEdit(f"the archive cannot be read: {error}") from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    listed = archive.infolist()
    members = {member.filename: member for member in listed}
    if len(members) != len(listed):
        raise NotAnEdit("a file is in it twice")
    if any(stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG) for member in listed):
        raise NotAnEdit("not all of it are files")
    if sum(member.file_size for member in listed) > UNPACKED_MAX_BYTES:
        raise NotAnEdit("it is too large when unpacked")
    return members


def _directories(members: dict[str, zipfile.ZipInfo]) -> set[PurePosixPath]:
    """Return the directories that unpacking would make: an edit makes and removes none."""
    return {parent for name in {name.rpartition("/")[0] for name in members} for parent in _parents(name)}


def _parents(directory: str) -> tuple[PurePosixPath, ...]:
    path = PurePosixPath(directory)
    return (path, *path.parents)
