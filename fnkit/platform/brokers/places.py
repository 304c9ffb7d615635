"""On which line each entry and key of ``brokers.toml`` stands: arrays of tables with plain keys, one a line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Places"]

_HEADER: Final = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)")
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


@dataclass(frozen=True, slots=True)
class Places:
    """Lines, counted from 1."""

    known: Mapping[tuple[str | int, ...], int]

    @classmethod
    def of(cls, text: str) -> Places:
        """Index a text that is valid TOML."""
        known: dict[tuple[str | int, ...], int] = {}
        counts: dict[str, int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if found := _HEADER.match(line):
                kind = found.group(1)
                counts[kind] = counts.get(kind, -1) + 1
                table = (kind, counts[kind])
                known[table] = number
                known.setdefault((kind,), number)
            elif found := _KEY.match(line):
                known.setdefault((*table, found.group(1)), number)
        return cls(known)

    def line(self, path: tuple[str | int, ...]) -> int:
        """Return the line of a key, else of the entry that it stands, or should stand, in; else 1."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.known:
                return self.known[path[:length]]
        return 1
