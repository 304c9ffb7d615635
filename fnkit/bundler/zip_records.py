"""The three records of a zip file, always written the same way (APPNOTE 4.3).

Times are 1980-01-01, modes 0644 or 0755, no extra fields, no data descriptors, no folders. Zip64 is not needed:
an archive is at most 100 MiB (functions-contract §2.3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fnkit.errors import BundleError

__all__ = ["DEFLATED", "ENTRIES_MAX", "STORED", "Entry", "central_record", "end_record", "local_record"]

STORED, DEFLATED = 0, 8
ENTRIES_MAX = 0xFFFE
_UTF8 = 0x800
_NEW_YEAR_1980 = (1 << 5) | 1
_UNIX = 3 << 8
_MADE_BY = 20
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as the archive has it. ``packed`` and ``size``: bytes in the archive and unpacked."""

    name: str
    method: int
    crc32: int
    packed: int
    size: int
    executable: bool


def local_record(entry: Entry) -> bytes:
    """Return what stands before a file's bytes."""
    name = entry.name.encode("utf-8")
    return _LOCAL.pack(b"PK\3\4", *_common(entry, name), 0) + name


def central_record(entry: Entry, offset: int) -> bytes:
    """Return a file's line in the central directory; ``offset``: where its local record stands."""
    name = entry.name.encode("utf-8")
    mode = (0o100755 if entry.executable else 0o100644) << 16
    return _CENTRAL.pack(b"PK\1\2", _UNIX | _MADE_BY, *_common(entry, name), 0, 0, 0, 0, mode, offset) + name


def end_record(count: int, central_size: int, central_offset: int) -> bytes:
    """Return the archive's last bytes.

    Raises:
        BundleError: ``too-many-files``.
    """
    if count > ENTRIES_MAX:
        raise BundleError(
            f"The archive would hold {count} files, more than the {ENTRIES_MAX} that every unpacker reads.",
            code="too-many-files",
            hint="Leave out what the functions do not need with .fnkitignore.",
        )
    return _END.pack(b"PK\5\6", 0, 0, count, count, central_size, central_offset, 0)


def _common(entry: Entry, name: bytes) -> tuple[int, ...]:
    """Return the fields that both records share, from "version needed" to the length of the name."""
    flags = 0 if name.isascii() else _UTF8
    return (
        *(_MADE_BY, flags, entry.method, 0, _NEW_YEAR_1980),
        *(entry.crc32, entry.packed, entry.size, len(name)),
    )
