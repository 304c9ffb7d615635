"""Writes the three record types of a zip file deterministically (APPNOTE.TXT 4.3).

Times are 1980-01-01, modes 0644 or 0755; there are no extra fields, data descriptors or directory entries. Zip64 is
not needed, because an archive is at most 100 MiB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fnkit.errors import BundleError

STORED, DEFLATED = 0, 8
MAX_ENTRIES = 0xFFFE  # 0xFFFF announces a Zip64 record
_UTF8_FLAG = 0x800
_DOS_DATE_1980_01_01 = (1 << 5) | 1
_HOST_UNIX = 3 << 8
_ZIP_VERSION = 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CENTRAL_HEADER = struct.Struct("<4s6H3I5H2I")
_END_RECORD = struct.Struct("<4s4H2IH")


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file of the archive.

    Attributes:
        method: ``STORED`` or ``DEFLATED``.
        compressed_size: Bytes in the archive.
        size: Bytes after extraction.
    """

    name: str
    method: int
    crc32: int
    compressed_size: int
    size: int
    executable: bool


def local_file_header(entry: ZipEntry) -> bytes:
    """Return the local file header, which precedes a file's bytes."""
    name = entry.name.encode("utf-8")
    return _LOCAL_HEADER.pack(b"PK\3\4", *_shared_fields(entry, name), 0) + name


def central_directory_header(entry: ZipEntry, offset: int) -> bytes:
    """Return a file's central directory header; ``offset`` is the position of its local file header."""
    name = entry.name.encode("utf-8")
    mode = (0o100755 if entry.executable else 0o100644) << 16
    return (
        _CENTRAL_HEADER.pack(
            b"PK\1\2", _HOST_UNIX | _ZIP_VERSION, *_shared_fields(entry, name), 0, 0, 0, 0, mode, offset
        )
        + name
    )


def end_of_central_directory(count: int, central_size: int, central_offset: int) -> bytes:
    """Return the end of central directory record.

    Raises:
        BundleError: ``too-many-files``.
    """
    if count > MAX_ENTRIES:
        raise BundleError(
            f"The archive would contain {count} files; the limit without Zip64 is {MAX_ENTRIES}.",
            code="too-many-files",
            hint="Exclude files that the functions do not need with .fnkitignore.",
        )
    return _END_RECORD.pack(b"PK\5\6", 0, 0, count, count, central_size, central_offset, 0)


def _shared_fields(entry: ZipEntry, name: bytes) -> tuple[int, ...]:
    """Return the fields that both headers share, from "version needed" to the length of the name."""
    flags = 0 if name.isascii() else _UTF8_FLAG
    return (
        *(_ZIP_VERSION, flags, entry.method, 0, _DOS_DATE_1980_01_01),
        *(entry.crc32, entry.compressed_size, entry.size, len(name)),
    )
