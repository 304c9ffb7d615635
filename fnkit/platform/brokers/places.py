"""Line numbers of the entries and keys of ``brokers.toml``, for messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["ConfigLineIndex"]

_TABLE_HEADER: Final = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)")
_KEY_ASSIGNMENT: Final = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


@dataclass(frozen=True, slots=True)
class ConfigLineIndex:
    """Line numbers, counted from 1, by path: table name, index of the entry, key.

    It covers arrays of tables with bare or quoted keys, one key per line. Other TOML syntax has no line of its own;
    ``line`` then returns that of the enclosing entry.
    """

    lines: Mapping[tuple[str | int, ...], int]

    @classmethod
    def from_text(cls, text: str) -> ConfigLineIndex:
        """Index a text that is valid TOML."""
        lines: dict[tuple[str | int, ...], int] = {}
        counts: dict[str, int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if found := _TABLE_HEADER.match(line):
                kind = found.group(1)
                counts[kind] = counts.get(kind, -1) + 1
                table = (kind, counts[kind])
                lines[table] = number
                lines.setdefault((kind,), number)
            elif found := _KEY_ASSIGNMENT.match(line):
                lines.setdefault((*table, found.group(1)), number)
        return cls(lines)

    def line(self, path: tuple[str | int, ...]) -> int:
        """Return the line of a key, else of its entry, else of its table, else 1."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1
