"""The dependency layer of an archive, cached as ``<cache>/layers/<key>.layer``.

A layer is the beginning of a zip file: local headers and compressed bytes, copied from the wheels without unpacking
them. An index follows (its share of the central directory, sizes, top-level modules, notes), then a footer with the
lengths of both. A file whose lengths do not add up was truncated and is built again.
"""

from __future__ import annotations

import hashlib
import mmap
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from fnkit.bundler.archive.zip_format import DEFLATED, STORED, ZipEntry, central_directory_header, local_file_header
from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.files.content import FileContent, atomic_file, read_verified, remove_stale_temporary_files
from fnkit.bundler.model import Dependency
from fnkit.errors import BundleError

_LOCAL_HEADER = struct.Struct("<4s4xH16x2H")  # signature, method, lengths of name and extra field (APPNOTE 4.3.7)
_ENCRYPTED_FLAG = 0x1
_UTF8_FLAG = 0x800
_INSTALLER_FILES = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
)
"""Files of a ``.dist-info`` that describe an installation. METADATA and entry points are kept."""
_LIBRARY_SCHEMES = frozenset({"purelib", "platlib"})
_EXTENSION_SUFFIXES = (".so", ".pyd")
_RESERVED_DIRECTORY = "package/fnkit/"

_FORMAT_VERSION = 2
"""Increase when the same wheels give different layer bytes."""
_FOOTER = struct.Struct("<QQ8s")
_MAGIC = b"fnklayr1"
_DEFLATE_LEVEL = 6


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file of a wheel: its entry in the archive and the offset of its compressed bytes in the wheel."""

    entry: ZipEntry
    offset: int


def _read_wheel_members(wheel: Path, distribution: str) -> list[WheelMember]:
    """Return a wheel's files with their names in the archive.

    Scripts, headers and data files are left out: the platform neither runs nor reads them.

    Raises:
        BundleError: ``wheel-unusable`` for anything but a plain, well-formed wheel.
    """
    try:
        with wheel.open("rb") as file, zipfile.ZipFile(file) as archive:
            members: list[WheelMember] = []
            end = 0
            for info in sorted(archive.infolist(), key=lambda one: one.header_offset):
                offset = _data_offset(file, info, end)
                end = offset + info.compress_size
                name = _archive_name(info)
                if name is not None:
                    members.append(WheelMember(_zip_entry(info, name), offset))
            return members
    except (_InvalidWheel, zipfile.BadZipFile, OSError, struct.error, NotImplementedError) as error:
        raise BundleError(
            f"The wheel of {distribution} cannot be used: {error}.",
            code="wheel-unusable",
            hint="Choose another version, and report the defect to its authors.",
        ) from error


def wheel_modules(wheel: Path, distribution: str) -> frozenset[str]:
    """Return the top-level modules that a wheel provides.

    Raises:
        BundleError: ``wheel-unusable``.
    """
    return top_level_modules(member.entry.name for member in _read_wheel_members(wheel, distribution))


def top_level_modules(names: Iterator[str]) -> frozenset[str]:
    """Return the top-level modules that files under ``package/`` provide."""
    modules: set[str] = set()
    for name in names:
        first, slash, rest = name.removeprefix("package/").partition("/")
        if slash:
            if rest.endswith((".py", *_EXTENSION_SUFFIXES)) and not first.endswith((".dist-info", ".libs")):
                modules.add(first)
        elif first.endswith((".py", *_EXTENSION_SUFFIXES)):
            modules.add(first.partition(".")[0])
    return frozenset(modules)


class _InvalidWheel(Exception):
    """Why a wheel is rejected; ``_read_wheel_members`` adds the wheel's name."""


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo, previous_end: int) -> int:
    """Return the offset of a file's compressed bytes.

    The local header must agree with the central directory. Unpackers differ in which of the two they use, so a
    wheel with contradictory headers could install different files than were checked.

    Args:
        file: The wheel.
        info: The file's entry in the central directory.
        previous_end: End of the preceding file; an earlier offset means overlapping files.
    """
    if info.header_offset < previous_end:
        raise _InvalidWheel(f"{info.filename} overlaps another file")
    file.seek(info.header_offset)
    record: tuple[bytes, int, int, int] = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    signature, method, name_length, extra_length = record
    name = file.read(name_length)
    if signature != b"PK\3\4" or method != info.compress_type:
        raise _InvalidWheel(f"the two headers of {info.filename} differ")
    if name.decode("utf-8" if info.flag_bits & _UTF8_FLAG else "cp437", "replace") != info.orig_filename:
        raise _InvalidWheel(f"{info.filename} has two names")
    return info.header_offset + _LOCAL_HEADER.size + name_length + extra_length


def _zip_entry(info: zipfile.ZipInfo, name: str) -> ZipEntry:
    if info.compress_type not in (STORED, DEFLATED):
        raise _InvalidWheel(f"{info.filename} uses a compression method other than deflate")
    if info.flag_bits & _ENCRYPTED_FLAG:
        raise _InvalidWheel(f"{info.filename} is encrypted")
    if info.compress_type == STORED and info.compress_size != info.file_size:
        raise _InvalidWheel(f"{info.filename} has two sizes")
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise _InvalidWheel(f"{info.filename} is a symbolic link")
    return ZipEntry(name, info.compress_type, info.CRC, info.compress_size, info.file_size, bool(mode & 0o111))


def _archive_name(info: zipfile.ZipInfo) -> str | None:
    """Return a file's name in the archive; ``None`` for a file that is left out (PEP 427, "spread")."""
    name = info.filename
    if info.is_dir():
        return None
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ".." in parts or "" in parts or "\0" in name:
        raise _InvalidWheel(f"{name!r} is no name for a file of a wheel")
    if parts[0].endswith(".data") and len(parts) > 1:
        if parts[1] not in _LIBRARY_SCHEMES:
            return None
        parts = parts[2:]
    if not parts:
        raise _InvalidWheel(f"{name!r} is no name for a file of a wheel")
    if len(parts) > 1 and parts[0].endswith(".dist-info") and parts[1] in _INSTALLER_FILES:
        return None
    if parts[-1].endswith(".pyc"):
        return None
    return "package/" + "/".join(parts)


class CorruptWheel(Exception):
    """A cached wheel does not match its hash or cannot be read; ``distribution`` names its package."""

    def __init__(self, distribution: str, wheel: Path) -> None:
        super().__init__(distribution)
        self.distribution = distribution
        self.wheel = wheel


class LayerIndex(msgspec.Struct, frozen=True, array_like=True):
    """What is known about a layer's files.

    Attributes:
        central_directory: Its share of the archive's central directory. The offsets assume that the layer is first.
        entry_count: Number of files.
        unpacked_size: Bytes of all files after extraction.
        top_level_modules: Top-level modules in the layer.
        notes: Sentences for the user.
    """

    central_directory: bytes = b""
    entry_count: int = 0
    unpacked_size: int = 0
    dependencies: tuple[Dependency, ...] = ()
    top_level_modules: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer on disk. ``path`` is ``None`` for the layer of no dependencies.

    Attributes:
        key: 64 hex digits over everything that determines the layer's bytes.
        payload_length: Bytes of the file that go into the archive; the index follows them.
    """

    path: Path | None
    key: str
    payload_length: int
    index: LayerIndex


def _layer_key(packages: tuple[LockedPackage, ...]) -> str:
    """Return 64 hex digits over everything that determines a layer's bytes."""
    parts = [str(_FORMAT_VERSION), *sorted(f"{one.name} {one.kind} {one.sha256}" for one in packages)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def open_layer(packages: tuple[LockedPackage, ...], cache: Path) -> Layer | None:
    """Return the cached layer of these packages, or ``None`` when it is missing or truncated."""
    key = _layer_key(packages)
    if not packages:
        return Layer(path=None, key=key, payload_length=0, index=LayerIndex())
    return open_layer_by_key(key, cache)


def empty_layer() -> Layer:
    """Return the layer of no dependencies."""
    return Layer(path=None, key="", payload_length=0, index=LayerIndex())


def open_layer_by_key(key: str, cache: Path) -> Layer | None:
    """Return the cached layer with a key, or ``None`` when it is missing or truncated."""
    path = _layer_path(cache, key)
    try:
        with path.open("rb") as file:
            file_size = file.seek(0, 2)
            file.seek(max(0, file_size - _FOOTER.size))
            length, index_length, magic = _FOOTER.unpack(file.read())
            if magic != _MAGIC or length + index_length + _FOOTER.size != file_size:
                return None
            file.seek(length)
            index = msgspec.msgpack.decode(file.read(index_length), type=LayerIndex)
    except (OSError, struct.error, msgspec.MsgspecError):
        return None
    return Layer(path=path, key=key, payload_length=length, index=index)


def write_layer(packages: tuple[LockedPackage, ...], wheels: Mapping[str, Path], cache: Path) -> None:
    """Write the layer of these packages into the cache.

    Args:
        packages: The locked packages.
        wheels: Path of the wheel by package name.
        cache: Cache directory.

    Raises:
        CorruptWheel: A wheel's bytes are not the locked ones.
        BundleError: ``wheel-unusable``, ``disk-full``, ``not-writable``.
    """
    wheel_data = {one.name: _map_wheel(one, wheels[one.name]) for one in packages}
    chosen, notes = _merge_wheels(packages, wheels)
    sizes = {one.name: 0 for one in packages}
    central: list[bytes] = []
    offset = 0
    path = _layer_path(cache, _layer_key(packages))
    remove_stale_temporary_files(path.parent)
    with atomic_file(path) as file:
        for name in sorted(chosen, key=lambda one: one.encode("utf-8")):
            owner, member = chosen[name]
            record = local_file_header(member.entry)
            file.write(record)
            file.write(memoryview(wheel_data[owner])[member.offset : member.offset + member.entry.compressed_size])
            central.append(central_directory_header(member.entry, offset))
            offset += len(record) + member.entry.compressed_size
            sizes[owner] += len(record) + member.entry.compressed_size + len(central[-1])
        index = msgspec.msgpack.encode(
            LayerIndex(
                central_directory=b"".join(central),
                entry_count=len(central),
                unpacked_size=sum(member.entry.size for _, member in chosen.values()),
                dependencies=tuple(Dependency(one.name, one.version, sizes[one.name]) for one in packages),
                top_level_modules=top_level_modules(iter(chosen)),
                notes=tuple(notes),
            ),
            order="deterministic",
        )
        file.write(index)
        file.write(_FOOTER.pack(offset, len(index), _MAGIC))


def write_tree_layer(
    key: str, files: Mapping[str, FileContent], dependencies: tuple[Dependency, ...], cache: Path
) -> None:
    """Write a layer of files on disk into the cache.

    Args:
        key: 64 hex digits over everything that determines the files.
        files: Content by path in the archive.
        dependencies: The packages that the files belong to; their sizes are those of the unpacked files.
        cache: Cache directory.

    Raises:
        BundleError: ``changed-while-bundling``, ``disk-full``, ``not-writable``.
    """
    path = _layer_path(cache, key)
    remove_stale_temporary_files(path.parent)
    central: list[bytes] = []
    offset = 0
    with atomic_file(path, mode=0o600) as file:
        for name in sorted(files, key=lambda one: one.encode("utf-8")):
            content = files[name]
            data = read_verified(content, name)
            packer = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            packed = packer.compress(data) + packer.flush()
            method = DEFLATED if len(packed) < len(data) else STORED
            payload = packed if method == DEFLATED else data
            entry = ZipEntry(name, method, content.crc32, len(payload), content.size, content.executable)
            record = local_file_header(entry)
            file.write(record)
            file.write(payload)
            central.append(central_directory_header(entry, offset))
            offset += len(record) + len(payload)
        unpacked = sum(one.size for one in files.values())
        index = LayerIndex(
            central_directory=b"".join(central),
            entry_count=len(central),
            unpacked_size=unpacked,
            dependencies=dependencies,
        )
        encoded = msgspec.msgpack.encode(index, order="deterministic")
        file.write(encoded)
        file.write(_FOOTER.pack(offset, len(encoded), _MAGIC))


def _layer_path(cache: Path, key: str) -> Path:
    return cache / "layers" / f"{key}.layer"


def _map_wheel(package: LockedPackage, wheel: Path) -> mmap.mmap | bytes:
    """Map a wheel into memory and verify the locked hash.

    A wheel built on this machine is not verified: the lock holds the hash of its source distribution.
    """
    try:
        with wheel.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise CorruptWheel(package.name, wheel) from error
    if package.kind == "wheel" and hashlib.sha256(data).hexdigest() != package.sha256:
        raise CorruptWheel(package.name, wheel)
    return data


def _merge_wheels(
    packages: tuple[LockedPackage, ...], wheels: Mapping[str, Path]
) -> tuple[dict[str, tuple[str, WheelMember]], list[str]]:
    """Return distribution and member by name in the archive, and notes about conflicts.

    When two distributions contain different files of one name, the alphabetically later distribution wins.
    Installers overwrite in the same way; in practice this happens with stray ``tests`` directories. A note reports
    it.

    ``package/fnkit/`` belongs to fnkit itself, which adds its part for handlers to every archive. A wheel's files
    there are left out: two entries of one name would leave the choice to the unpacker.
    """
    chosen: dict[str, tuple[str, WheelMember]] = {}
    notes: list[str] = []
    owners_of_fnkit: set[str] = set()
    for package in sorted(packages, key=lambda one: one.name):
        for member in _read_wheel_members(wheels[package.name], package.name):
            name = member.entry.name
            if name.startswith(_RESERVED_DIRECTORY):
                owners_of_fnkit.add(package.name)
                continue
            if name in chosen:
                owner, other = chosen[name]
                if (other.entry.crc32, other.entry.size) != (member.entry.crc32, member.entry.size):
                    notes.append(f"{name} is in both {owner} and {package.name}; the latter is used.")
            chosen[name] = package.name, member
    notes.extend(
        f"{_RESERVED_DIRECTORY} of {owner} is left out: archives contain fnkit's own."
        for owner in sorted(owners_of_fnkit)
    )
    return chosen, notes
