"""Finds the line number of each key in a TOML document, which ``tomllib`` does not provide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys and array indexes from the top of a document: ``("tool", "fnkit", "function", 0, "memory")``."""

_KEY_PART: Final = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.?)""")
_WHITE_SPACE_AND_COMMENTS: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")


@dataclass(frozen=True, slots=True)
class TomlLines:
    """The line numbers of a document's keys; ``base`` is prepended to every path that is looked up."""

    line_numbers: Mapping[KeyPath, int]
    base: KeyPath = ()

    @classmethod
    def from_text(cls, text: str, base: KeyPath = ()) -> TomlLines:
        """Index a document, which must be valid TOML."""
        lines: dict[KeyPath, int] = {}
        for path, position in _key_positions(text):
            lines.setdefault(path, text.count("\n", 0, position) + 1)
        return cls(lines, base)

    def line(self, *path: str | int) -> int:
        """Return the line of a key, else of the nearest enclosing table, else 1."""
        whole = (*self.base, *path)
        for length in range(len(whole), 0, -1):
            if whole[:length] in self.line_numbers:
                return self.line_numbers[whole[:length]]
        return 1


def _key_positions(text: str) -> Iterator[tuple[KeyPath, int]]:
    table: KeyPath = ()
    arrays: dict[KeyPath, int] = {}
    position = 0
    while (position := _skip_blank(text, position)) < len(text):
        start = position
        if text[position] == "[":
            repeated = text.startswith("[[", position)
            parts, position = _parse_key(text, position + (2 if repeated else 1))
            table = _with_array_indexes(parts[:-1], arrays)
            if repeated:
                array = (*table, parts[-1])
                arrays[array] = arrays.get(array, -1) + 1
                yield array, start
                table = (*array, arrays[array])
            else:
                table = _with_array_indexes(parts, arrays)
            yield table, start
            position += 2 if repeated else 1
            continue
        parts, position = _parse_key(text, position)
        yield (*table, *parts), start
        position = _value_end(text, position + 1)


def _with_array_indexes(parts: KeyPath, arrays: Mapping[KeyPath, int]) -> KeyPath:
    """Insert the index of the last element after each array of tables in a header's path.

    In TOML, a header such as ``[a.b]`` below ``[[a]]`` refers to the most recently defined element of ``a``.
    """
    path: KeyPath = ()
    for part in parts:
        path = (*path, part)
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _skip_blank(text: str, position: int) -> int:
    match = _WHITE_SPACE_AND_COMMENTS.match(text, position)
    return match.end() if match else position


def _parse_key(text: str, position: int) -> tuple[KeyPath, int]:
    """Return the parts of a dotted key, and the position of its end."""
    parts: list[str | int] = []
    while match := _KEY_PART.match(text, position):
        position = match.end()
        quoted, literal, bare, dot = match.groups()
        parts.append(quoted if quoted is not None else literal if literal is not None else bare)
        if not dot:
            break
    return tuple(parts), position


def _value_end(text: str, position: int) -> int:
    """Return the position of the end of a value's last line; strings and brackets may span lines."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "\"'":
            position = _string_end(text, position)
            continue
        if character == "#":
            newline = text.find("\n", position)
            position = len(text) if newline < 0 else newline
            continue
        depth += (character in "[{") - (character in "]}")
        if character == "\n" and depth == 0:
            return position
        position += 1
    return position


def _string_end(text: str, position: int) -> int:
    quote = text[position]
    mark = quote * 3 if text.startswith(quote * 3, position) else quote
    position += len(mark)
    while position < len(text) and not text.startswith(mark, position):
        position += 2 if quote == '"' and text[position] == "\\" else 1
    position += len(mark)
    while len(mark) > 1 and position < len(text) and text[position] == quote:
        position += 1  # a multi-line string may end with one or two quotes that belong to it
    return position
