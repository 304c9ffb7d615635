"""Reads the members of a wheel and maps them to ``package/`` without decompressing them."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnkit.bundler.zip_records import DEFLATED, STORED, ZipEntry
from fnkit.errors import BundleError

__all__ = ["WheelMember", "read_wheel_members", "top_level_modules"]

_LOCAL_HEADER = struct.Struct("<4s4xH16x2H")  # signature, method, lengths of name and extra field (APPNOTE 4.3.7)
_ENCRYPTED_FLAG = 0x1
_UTF8_FLAG = 0x800
_INSTALLER_FILES = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
)
"""Files of a ``.dist-info`` that describe an installation. METADATA and entry points are kept."""
_LIBRARY_SCHEMES = frozenset({"purelib", "platlib"})
_EXTENSION_SUFFIXES = (".so", ".pyd")


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file of a wheel: its entry in the archive and the offset of its compressed bytes in the wheel."""

    entry: ZipEntry
    offset: int


def read_wheel_members(wheel: Path, distribution: str) -> list[WheelMember]:
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
    """Why a wheel is rejected; ``read_wheel_members`` adds the wheel's name."""


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
