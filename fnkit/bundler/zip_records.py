"""Writes the three record types of a zip file deterministically (APPNOTE.TXT 4.3).

Times are 1980-01-01, modes 0644 or 0755; there are no extra fields, data descriptors or directory entries. Zip64 is
not needed, because an archive is at most 100 MiB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fnkit.errors import BundleError

__all__ = ["DEFLATED", "ENTRIES_MAX", "STORED", "Entry", "central_record", "end_record", "local_record"]

STORED, DEFLATED = 0, 8
ENTRIES_MAX = 0xFFFE  # 0xFFFF announces a Zip64 record
_UTF8 = 0x800
_NEW_YEAR_1980 = (1 << 5) | 1
_UNIX = 3 << 8
_MADE_BY = 20
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive.

    Attributes:
        method: ``STORED`` or ``DEFLATED``.
        compressed_size: Bytes in the archive.
        size: Bytes after extraction.
    """

    name: str
    method: int
    crc32: int
    packed: int
    size: int
    executable: bool


def local_record(entry: Entry) -> bytes:
    """Return the local file header, which precedes a file's bytes."""
    name = entry.name.encode("utf-8")
    return _LOCAL.pack(b"PK\3\4", *_common(entry, name), 0) + name


def central_record(entry: Entry, offset: int) -> bytes:
    """Return a file's central directory header; ``offset`` is the position of its local file header."""
    name = entry.name.encode("utf-8")
    mode = (0o100755 if entry.executable else 0o100644) << 16
    return _CENTRAL.pack(b"PK\1\2", _UNIX | _MADE_BY, *_common(entry, name), 0, 0, 0, 0, mode, offset) + name


def end_record(count: int, central_size: int, central_offset: int) -> bytes:
    """Return the end of central directory record.

    Raises:
        BundleError: ``too-many-files``.
    """
    if count > ENTRIES_MAX:
        raise BundleError(
            f"The archive would contain {count} files; the limit without Zip64 is {ENTRIES_MAX}.",
            code="too-many-files",
            hint="Exclude files that the functions do not need with .fnkitignore.",
        )
    return _END.pack(b"PK\5\6", 0, 0, count, count, central_size, central_offset, 0)


def _common(entry: Entry, name: bytes) -> tuple[int, ...]:
    """Return the fields that both headers share, from "version needed" to the length of the name."""
    flags = 0 if name.isascii() else _UTF8
    return (
        *(_MADE_BY, flags, entry.method, 0, _NEW_YEAR_1980),
        *(entry.crc32, entry.packed, entry.size, len(name)),
    )
