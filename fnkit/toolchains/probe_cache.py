"""What the programs of this machine have said about themselves, kept in a file: asking each takes some 30 ms.

An answer counts as long as neither the program that was asked nor the one that it named has changed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from fnkit.toolchains.interpreter import Interpreter

_MAX_ENTRIES = 500


class _Entry(msgspec.Struct, frozen=True):
    """The answer of one program; ``None`` if it is not usable."""

    stamp: tuple[int, ...]
    found: Interpreter | None


class ProbeCache:
    """The answers by path of the program. A file that cannot be read or written is one without answers.

    Args:
        file: The file, which may not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries = self._read()

    def _read(self) -> dict[str, _Entry]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, _Entry])
        except (OSError, msgspec.MsgspecError):
            return {}

    def get(self, program: Path) -> tuple[bool, Interpreter | None]:
        """Return whether the answer of a program is known, and the answer."""
        entry = self._entries.get(str(program))
        known = entry is not None and entry.stamp == _stamp(program, entry.found)
        return known, entry.found if entry is not None and known else None

    def put(self, program: Path, found: Interpreter | None) -> None:
        """Keep an answer."""
        entries = {**self._entries, str(program): _Entry(_stamp(program, found), found)}
        self._entries = dict(list(entries.items())[-_MAX_ENTRIES:])
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.json.encode(self._entries))
            temporary.replace(self._file)


def _stamp(program: Path, found: Interpreter | None) -> tuple[int, ...]:
    """Return numbers that change with a program, and with the program that it named."""
    numbers: list[int] = []
    for path in (program, *([Path(found.path)] if found is not None else [])):
        try:
            status = path.stat()
        except OSError:
            numbers += [0, 0]
        else:
            numbers += [status.st_mtime_ns, status.st_size]
    return tuple(numbers)
