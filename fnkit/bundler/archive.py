"""One zip from a layer and the user's files.

The layer's bytes are copied as they are; small user files are stored, so that an archive of the same content has
the same bytes whatever zlib is installed; large ones are deflated once and kept by sha256. An archive that is
already there with the same directory is left alone.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnkit.bundler.atomic_file import atomic_file
from fnkit.bundler.contents import Content, read_again
from fnkit.bundler.layer import Layer
from fnkit.bundler.zip_records import DEFLATED, STORED, Entry, central_record, end_record, local_record
from fnkit.contract.limits import ARCHIVE_MAX_BYTES, UNPACKED_MAX_BYTES
from fnkit.errors import BundleError

__all__ = ["Archive", "is_written", "plan_archive", "write_archive"]

_DEFLATE_FROM = 256 * 1024
_LEVEL = 6
_CHUNK = 1 << 20
_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Piece:
    """One user file: its entry, its content, and where its packed bytes stand."""

    entry: Entry
    content: Content
    packed: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive before it is written. size, unpacked: bytes. tail: its directory and end record."""

    layer: Layer
    pieces: tuple[_Piece, ...]
    size: int
    unpacked: int
    tail: bytes


def plan_archive(layer: Layer, files: Mapping[str, Content], cache: Path) -> Archive:
    """Return the archive of a layer and the user's files, and what it will weigh.

    Raises:
        BundleError: ``archive-too-large`` naming the largest contributors, ``too-many-files``,
            ``changed-while-bundling``, ``disk-full``, ``not-writable``.
    """
    unpacked = layer.unpacked + sum(content.size for content in files.values())
    if unpacked > UNPACKED_MAX_BYTES:
        raise _too_large("unpacked", unpacked, UNPACKED_MAX_BYTES, layer, files)
    pieces = tuple(_piece(name, files[name], cache) for name in sorted(files, key=lambda one: one.encode("utf-8")))
    offset = layer.length
    central = [layer.central]
    for piece in pieces:
        central.append(central_record(piece.entry, offset))
        offset += len(local_record(piece.entry)) + piece.entry.packed
    directory = b"".join(central)
    tail = directory + end_record(layer.count + len(pieces), len(directory), offset)
    size = offset + len(tail)
    if size > ARCHIVE_MAX_BYTES:
        raise _too_large("packed", size, ARCHIVE_MAX_BYTES, layer, files)
    return Archive(layer=layer, pieces=pieces, size=size, unpacked=unpacked, tail=tail)


def write_archive(archive: Archive, path: Path) -> None:
    """Write an archive.

    Raises:
        BundleError: ``changed-while-bundling``, ``disk-full``, ``not-writable``.
    """
    with atomic_file(path) as file:
        if archive.layer.path is not None:
            with archive.layer.path.open("rb") as source:
                _copy(source, file, archive.layer.length)
        for piece in archive.pieces:
            file.write(local_record(piece.entry))
            _append(piece, file)
        file.write(archive.tail)


def is_written(archive: Archive, path: Path) -> bool:
    """Compare an archive on disk by its length and its directory, which holds every file's CRC and place."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) != archive.size:
                return False
            file.seek(archive.size - len(archive.tail))
            return file.read() == archive.tail
    except OSError:
        return False


def _piece(name: str, content: Content, cache: Path) -> _Piece:
    method, packed, place = STORED, content.size, content.source
    if content.size >= _DEFLATE_FROM:
        place = cache / "deflated" / f"{content.sha256}.{_LEVEL}"
        if not place.is_file():
            _deflate(name, content, place)
        packed, method = place.stat().st_size, DEFLATED
    return _Piece(Entry(name, method, content.crc32, packed, content.size, content.executable), content, place)


def _deflate(name: str, content: Content, place: Path) -> None:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = memoryview(read_again(content, name))
    with atomic_file(place) as file:
        for start in range(0, len(data), _CHUNK):
            file.write(packer.compress(data[start : start + _CHUNK]))
        file.write(packer.flush())


def _append(piece: _Piece, file: BinaryIO) -> None:
    if piece.entry.method == DEFLATED:
        with piece.packed.open("rb") as source:
            shutil.copyfileobj(source, file, _CHUNK)
    else:
        file.write(read_again(piece.content, piece.entry.name))


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    """Copy the beginning of a file, inside the kernel where it can do that."""
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
            pass  # another file system, an old kernel: the ordinary way says what is wrong, if anything is
    source.seek(copied)
    target.seek(copied)
    while copied < length:
        chunk = source.read(min(_CHUNK, length - copied))
        if not chunk:
            raise BundleError(
                "The layer of dependencies was cut off while it was copied.",
                code="cache-unusable",
                hint="Run the command again; it makes the layer anew.",
            )
        target.write(chunk)
        copied += len(chunk)


def _too_large(what: str, size: int, limit: int, layer: Layer, files: Mapping[str, Content]) -> BundleError:
    weights = {f"{one.name} {one.version}": one.size for one in layer.dependencies}
    for name, content in files.items():
        folder = name.split("/")[0]
        weights[folder] = weights.get(folder, 0) + content.size
    largest = sorted(weights.items(), key=lambda one: (-one[1], one[0]))[:_NAMED]
    named = ", ".join(f"{name} ({_mebibytes(weight)})" for name, weight in largest)
    return BundleError(
        f"The archive would be {_mebibytes(size)} {what}; the platform takes {_mebibytes(limit)}. "
        f"The largest parts: {named}.",
        code="archive-too-large",
        hint="Drop a dependency, or leave files out with .fnkitignore.",
    )


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
