"""A layer of an image: a gzip-compressed tar archive that depends on its content alone.

Entries are sorted, belong to fixed users and have no times, so the same files give the same layer on every machine
(https://github.com/opencontainers/image-spec/blob/main/layer.md). The compressed bytes may differ between versions
of zlib; ``diff_id``, the digest of the uncompressed archive, does not.
"""

# Plain os calls: an image may have a hundred thousand entries.
# ruff: noqa: PTH115, PTH123

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from fnkit.platform.directory_tree import StrPath, walk_tree
from fnkit.platform.model.images import ImageLayer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GZIP_WINDOW: Final = 31  # zlib's number for a gzip header, without time and name
_COMPRESSION_LEVEL: Final = 6
_CHUNK_BYTES: Final = 256 * 1024
_EXECUTABLE: Final = 0o111


class EntryKind(Enum):
    """What an entry of a layer is."""

    DIRECTORY = tarfile.DIRTYPE
    FILE = tarfile.REGTYPE
    LINK = tarfile.SYMTYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """A directory, a file or a symbolic link.

    Attributes:
        path: Relative to the root of the image, without ``.`` or ``..``.
        mode: The permissions; those of a link mean nothing.
        owner: The id of its user and group.
        source: The file with the content; ``None`` for ``content``.
        content: The content of a file without ``source``.
        target: What a link refers to.
    """

    path: str
    kind: EntryKind
    mode: int = 0o755
    owner: int = 0
    source: StrPath | None = None
    content: bytes = b""
    target: str = ""


def directory_entries(directory: Path, path: str, owner: int = 0) -> Iterator[LayerEntry]:
    """Yield everything below a directory, for a layer in which the directory has another path.

    Files get mode 0644 or 0755, directories 0755, whatever they have on this machine. Other kinds of files are left
    out, and links are not followed.

    Args:
        directory: A directory of this machine.
        path: Its path in the image.
        owner: The user of the entries.

    Raises:
        OSError: It cannot be read.
    """
    top = str(directory.resolve())
    yield LayerEntry(path=path, kind=EntryKind.DIRECTORY, owner=owner)
    for entry in walk_tree(directory):
        # walk_tree has no paths, but the kernel knows that of an open directory.
        parent = os.readlink(f"/proc/self/fd/{entry.parent}")
        source = f"{parent}/{entry.name}"
        inner = f"{path}{parent.removeprefix(top)}/{entry.name}"
        mode = entry.status.st_mode
        if entry.is_directory:
            yield LayerEntry(path=inner, kind=EntryKind.DIRECTORY, owner=owner)
        elif stat.S_ISLNK(mode):
            yield LayerEntry(path=inner, kind=EntryKind.LINK, owner=owner, target=os.readlink(source))
        elif stat.S_ISREG(mode):
            permissions = 0o755 if mode & _EXECUTABLE else 0o644
            yield LayerEntry(path=inner, kind=EntryKind.FILE, mode=permissions, owner=owner, source=source)


def write_layer(entries: Iterable[LayerEntry], output: BinaryIO) -> ImageLayer:
    """Write a layer. Blocks; call it in a thread.

    Directories that are missing among the entries are added. Of several entries with one path, the last one counts.

    Args:
        entries: In any order.
        output: Receives the compressed archive.

    Raises:
        OSError: A file cannot be read, or the layer cannot be written.
    """
    compressed = CompressedOutput(output)
    with tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK_BYTES) as archive:
        _add_entries(archive, entries)
    return compressed.finish()


def measure_layer(entries: Iterable[LayerEntry]) -> str:
    """Return the ``diff_id`` of the layer that ``write_layer`` would write, in a fifth of the time.

    Raises:
        OSError: A file cannot be read.
    """
    digest = _DigestOutput()
    with tarfile.open(fileobj=digest, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK_BYTES) as archive:
        _add_entries(archive, entries)
    return digest.sha256.hexdigest()


def _add_entries(archive: tarfile.TarFile, entries: Iterable[LayerEntry]) -> None:
    by_path = {entry.path: entry for entry in entries}
    for path in list(by_path):
        while (path := path.rpartition("/")[0]) and path not in by_path:
            by_path[path] = LayerEntry(path=path, kind=EntryKind.DIRECTORY)
    # By parts: a directory comes before its content, and "a/b" before "a-c".
    for path in sorted(by_path, key=lambda path: path.split("/")):
        _add_entry(archive, by_path[path])


def _add_entry(archive: tarfile.TarFile, entry: LayerEntry) -> None:
    member = tarfile.TarInfo(entry.path)
    member.type = entry.kind.value
    member.mode, member.uid, member.gid = entry.mode, entry.owner, entry.owner
    member.linkname = entry.target
    if entry.kind is not EntryKind.FILE:
        archive.addfile(member)
    elif entry.source is None:
        member.size = len(entry.content)
        archive.addfile(member, io.BytesIO(entry.content))
    else:
        with open(entry.source, "rb") as content:
            member.size = os.fstat(content.fileno()).st_size
            archive.addfile(member, content)


class _DigestOutput(io.RawIOBase):
    """Digests what is written to it."""

    def __init__(self) -> None:
        self.sha256: Final = hashlib.sha256()

    def write(self, data: ReadableBuffer, /) -> int:
        self.sha256.update(data)
        return memoryview(data).nbytes


class CompressedOutput(io.RawIOBase):
    """Compresses what is written to it, and digests it before and after."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._compressor = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        self._diff_id = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: ReadableBuffer, /) -> int:
        """Add content."""
        self._diff_id.update(data)
        self._emit(self._compressor.compress(data))
        return memoryview(data).nbytes

    def finish(self) -> ImageLayer:
        """Complete the layer."""
        self._emit(self._compressor.flush())
        return ImageLayer(diff_id=self._diff_id.hexdigest(), digest=self._digest.hexdigest(), size=self._size)

    def _emit(self, data: bytes) -> None:
        self._output.write(data)
        self._digest.update(data)
        self._size += len(data)


LayerWriter = Callable[[BinaryIO], ImageLayer]
"""Writes a layer to a file, as ``write_layer`` does."""
