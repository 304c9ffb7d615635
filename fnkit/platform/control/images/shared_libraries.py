"""The shared libraries that programs need, as the dynamic loader of this machine finds them.

The loader itself is asked (``--list`` of glibc and musl), so that its rules hold: run paths, default directories
and its cache. No program is executed for that.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ARCHITECTURES: Final = {
    3: "386",
    8: "mips",
    21: "ppc64le",
    22: "s390x",
    40: "arm",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
"""The numbers of machines in ELF headers, and how Go names them."""

_MAGIC: Final = b"\x7fELF"
_IDENTIFICATION_BYTES: Final = 16
_CLASS_64: Final = 2
_LITTLE_ENDIAN: Final = 1
_INTERPRETER_SEGMENT: Final = 3
_TIMEOUT: Final = 30.0
_LINE: Final = re.compile(r"\s*(?P<name>\S+) => (?P<path>/.*?)(?: \(0x[0-9a-f]+\))?\s*")


@dataclass(frozen=True, slots=True)
class ElfProgram:
    """What the header of an executable says.

    Attributes:
        architecture: As Go names it.
        loader: The absolute path of the dynamic loader; empty for a static executable.
    """

    architecture: str
    loader: str


def read_program(path: str) -> ElfProgram:
    """Read the header of an executable.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not an executable for Linux, or for a machine without a name.
    """
    with Path(path).open("rb") as file:
        identification = file.read(_IDENTIFICATION_BYTES)
        if not identification.startswith(_MAGIC) or len(identification) < _IDENTIFICATION_BYTES:
            raise ValueError("it is not an ELF executable")
        is_64_bit = identification[4] == _CLASS_64
        order = "<" if identification[5] == _LITTLE_ENDIAN else ">"
        try:
            machine, start, size, count = _read_layout(file.read(48), order, is_64_bit=is_64_bit)
            for number in range(count):
                file.seek(start + number * size)
                kind, offset, length = _read_segment(file.read(size), order, is_64_bit=is_64_bit)
                if kind == _INTERPRETER_SEGMENT:
                    file.seek(offset)
                    loader = os.fsdecode(file.read(length).rstrip(b"\0"))
                    break
            else:
                loader = ""
        except struct.error:
            raise ValueError("its ELF header is damaged") from None
    if machine not in _ARCHITECTURES:
        raise ValueError(f"it is for an unknown machine ({machine})")
    return ElfProgram(_ARCHITECTURES[machine], loader)


def _read_layout(header: bytes, order: str, *, is_64_bit: bool) -> tuple[int, int, int, int]:
    """Return the machine, and the offset, size and number of the program headers."""
    fields = struct.unpack_from(order + ("2xH4xQQQ4xHHH" if is_64_bit else "2xH4xIII4xHHH"), header)
    machine, _, start, _, _, size, count = fields
    return machine, start, size, count


def _read_segment(header: bytes, order: str, *, is_64_bit: bool) -> tuple[int, int, int]:
    """Return the type, offset and length of a segment."""
    kind, offset, length = struct.unpack_from(order + ("I4xQ16xQ" if is_64_bit else "II8xI"), header)
    return kind, offset, length


class LibraryFinder:
    """Asks a dynamic loader.

    Args:
        loader: Its absolute path.
    """

    def __init__(self, loader: str) -> None:
        self._loader = loader
        self._has_cache = "musl" not in Path(loader).name

    def needed_by(self, file: str, *, preload: tuple[str, ...] = (), use_cache: bool = True) -> dict[str, str]:
        """Return everything that a program or library needs, by the name that it is loaded under.

        Args:
            file: Its absolute path.
            preload: Names of further libraries, as if it needed them too.
            use_cache: Whether the loader may look into its cache, if it has one.

        Returns:
            Absolute paths. Libraries that are missing on this machine are left out, and so is the loader.

        Raises:
            OSError: The loader cannot be run.
        """
        command = [self._loader, *([] if use_cache or not self._has_cache else ["--inhibit-cache"]), "--list", file]
        try:
            result = subprocess.run(
                command,
                env={"LD_PRELOAD": " ".join(preload)} if preload else {},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"the dynamic loader does not answer for {file}") from None
        lines = os.fsdecode(result.stdout).splitlines()
        matches = (_LINE.fullmatch(line) for line in lines)
        return {match["name"]: match["path"] for match in matches if match}
