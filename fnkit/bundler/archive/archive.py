"""Plans and writes the zip file of a dependency layer plus the user's files.

The layer's bytes are copied unchanged. Small user files are stored uncompressed, so that equal content gives equal
bytes with every version of zlib; large files are deflated once and cached by SHA-256. An archive on disk whose
central directory is already the planned one is not rewritten.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnkit.bundler.archive.layer import Layer
from fnkit.bundler.archive.zip_format import (
    DEFLATED,
    STORED,
    ZipEntry,
    central_directory_header,
    end_of_central_directory,
    local_file_header,
)
from fnkit.bundler.files.content import FileContent, atomic_file, read_verified
from fnkit.contract.limits import ARCHIVE_MAX_BYTES, UNPACKED_MAX_BYTES
from fnkit.errors import BundleError

_DEFLATE_MIN_BYTES = 256 * 1024
_DEFLATE_LEVEL = 6
_CHUNK_BYTES = 1 << 20
_MAX_PARTS_SHOWN = 5
_PRIVATE_MODE = 0o600
"""Archives contain the user's code, which other users of the machine need not be able to read."""


@dataclass(frozen=True, slots=True)
class _UserFile:
    """One user file: its zip entry, its content and, for a deflated entry, the path of the compressed bytes."""

    entry: ZipEntry
    content: FileContent
    compressed_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive before it is written.

    Attributes:
        size: Bytes of the zip file.
        unpacked_size: Bytes of all files after extraction.
        directory_bytes: The central directory and the end record, as they will be written.
    """

    layer: Layer
    user_files: tuple[_UserFile, ...]
    size: int
    unpacked_size: int
    directory_bytes: bytes


def plan_archive(layer: Layer, files: Mapping[str, FileContent], cache: Path) -> Archive:
    """Lay out the archive of a layer and the user's files.

    Args:
        layer: Dependencies, placed first in the archive.
        files: Content by path in the archive.
        cache: Cache directory; deflated copies of large files are kept there.

    Raises:
        BundleError: ``archive-too-large`` naming the largest contributors, ``too-many-files``,
            ``changed-while-bundling``, ``disk-full``, ``not-writable``.
    """
    unpacked = layer.index.unpacked_size + sum(content.size for content in files.values())
    if unpacked > UNPACKED_MAX_BYTES:
        raise _too_large_error("unpacked", unpacked, UNPACKED_MAX_BYTES, layer, files)
    pieces = tuple(
        _prepare_user_file(name, files[name], cache) for name in sorted(files, key=lambda one: one.encode("utf-8"))
    )
    offset = layer.payload_length
    headers = [layer.index.central_directory]
    for piece in pieces:
        headers.append(central_directory_header(piece.entry, offset))
        offset += len(local_file_header(piece.entry)) + piece.entry.compressed_size
    directory = b"".join(headers)
    tail = directory + end_of_central_directory(layer.index.entry_count + len(pieces), len(directory), offset)
    size = offset + len(tail)
    if size > ARCHIVE_MAX_BYTES:
        raise _too_large_error("packed", size, ARCHIVE_MAX_BYTES, layer, files)
    return Archive(layer=layer, user_files=pieces, size=size, unpacked_size=unpacked, directory_bytes=tail)


def write_archive(archive: Archive, path: Path) -> None:
    """Write an archive atomically.

    Raises:
        BundleError: ``changed-while-bundling``, ``disk-full``, ``not-writable``.
    """
    with atomic_file(path, mode=_PRIVATE_MODE) as file:
        if archive.layer.path is not None:
            with archive.layer.path.open("rb") as source:
                _copy_prefix(source, file, archive.layer.payload_length)
        for piece in archive.user_files:
            file.write(local_file_header(piece.entry))
            _write_user_file(piece, file)
        file.write(archive.directory_bytes)


def is_archive_current(archive: Archive, path: Path) -> bool:
    """Return whether the file at ``path`` is this archive, and private.

    Compares the length and the central directory only: the directory holds the CRC-32, the sizes and the offset of
    every file, so equal directories mean equal content.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077 or file.seek(0, os.SEEK_END) != archive.size:
                return False
            file.seek(archive.size - len(archive.directory_bytes))
            return file.read() == archive.directory_bytes
    except OSError:
        return False


def _prepare_user_file(name: str, content: FileContent, cache: Path) -> _UserFile:
    method, packed, compressed_path = STORED, content.size, content.source
    if content.size >= _DEFLATE_MIN_BYTES:
        compressed_path = cache / "deflated" / f"{content.sha256}.{_DEFLATE_LEVEL}"
        if not compressed_path.is_file():
            _deflate_file(name, content, compressed_path)
        packed, method = compressed_path.stat().st_size, DEFLATED
    return _UserFile(
        ZipEntry(name, method, content.crc32, packed, content.size, content.executable), content, compressed_path
    )


def _deflate_file(name: str, content: FileContent, path: Path) -> None:
    packer = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = memoryview(read_verified(content, name))
    with atomic_file(path, mode=_PRIVATE_MODE) as file:
        for start in range(0, len(data), _CHUNK_BYTES):
            file.write(packer.compress(data[start : start + _CHUNK_BYTES]))
        file.write(packer.flush())


def _write_user_file(user_file: _UserFile, output: BinaryIO) -> None:
    if user_file.entry.method == DEFLATED:
        with user_file.compressed_path.open("rb") as source:
            shutil.copyfileobj(source, output, _CHUNK_BYTES)
    else:
        output.write(read_verified(user_file.content, user_file.entry.name))


def _copy_prefix(source: BinaryIO, target: BinaryIO, length: int) -> None:
    """Copy the first ``length`` bytes, inside the kernel where possible.

    ``copy_file_range(2)`` shares extents on file systems that support it and avoids copying a layer of tens of
    megabytes through user space.
    """
    copied = 0
    if hasattr(os, "copy_file_range"):
        target.flush()
        try:
            while copied < length:
                count = os.copy_file_range(source.fileno(), target.fileno(), length - copied, copied, copied)
                if count == 0:
                    break
                copied += count
        except OSError:
            # EXDEV across file systems, ENOSYS on an old kernel: the loop below continues at ``copied``. A real
            # fault (a full disk) occurs there again and is reported from there.
            pass
    source.seek(copied)
    target.seek(copied)
    while copied < length:
        chunk = source.read(min(_CHUNK_BYTES, length - copied))
        if not chunk:
            raise BundleError(
                "The dependency layer was truncated while it was copied.",
                code="cache-unusable",
                hint="Run the command again to rebuild the layer.",
            )
        target.write(chunk)
        copied += len(chunk)


def _too_large_error(
    measure: str, size: int, limit: int, layer: Layer, files: Mapping[str, FileContent]
) -> BundleError:
    sizes = {f"{one.name} {one.version}": one.size for one in layer.index.dependencies}
    for name, content in files.items():
        top_directory = name.split("/")[0]
        sizes[top_directory] = sizes.get(top_directory, 0) + content.size
    largest = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:_MAX_PARTS_SHOWN]
    listed = ", ".join(f"{name} ({_mebibytes(weight)})" for name, weight in largest)
    return BundleError(
        f"The archive would be {_mebibytes(size)} {measure}; the limit is {_mebibytes(limit)}. "
        f"The largest parts: {listed}.",
        code="archive-too-large",
        hint="Remove a dependency, or exclude files with .fnkitignore.",
    )


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
