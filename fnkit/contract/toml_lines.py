"""Finds the place of each key in a TOML document, which ``tomllib`` does not provide."""

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
class TomlPlace:
    """The place of a key with its value, or of a table's header.

    Attributes:
        line: Line, counted from 1.
        column: First character in the line, counted from 1; ``None`` if nothing was found.
        end_column: The character after the last one; ``None`` for the end of the line.
    """

    line: int
    column: int | None = None
    end_column: int | None = None


@dataclass(frozen=True, slots=True)
class TomlLines:
    """The places of a document's keys; ``base`` is prepended to every path that is looked up."""

    places: Mapping[KeyPath, TomlPlace]
    base: KeyPath = ()

    @classmethod
    def from_text(cls, text: str, base: KeyPath = ()) -> TomlLines:
        """Index a document, which must be valid TOML."""
        places: dict[KeyPath, TomlPlace] = {}
        for path, start, end in _key_positions(text):
            line_start = text.rfind("\n", 0, start) + 1
            shown = text[start:end].rstrip()
            end_column = None if "\n" in shown else start - line_start + len(shown) + 1
            place = TomlPlace(text.count("\n", 0, start) + 1, start - line_start + 1, end_column)
            places.setdefault(path, place)
        return cls(places, base)

    def line(self, *path: str | int) -> int:
        """Return the line of a key, else of the nearest enclosing table, else 1."""
        return self.place(*path).line

    def place(self, *path: str | int) -> TomlPlace:
        """Return the place of a key, else of the nearest enclosing table, else line 1."""
        whole = (*self.base, *path)
        for length in range(len(whole), 0, -1):
            if whole[:length] in self.places:
                return self.places[whole[:length]]
        return TomlPlace(1)

    def names_below(self, *path: str | int) -> tuple[str, ...]:
        """Return the names of the keys that stand directly in a table."""
        table = (*self.base, *path)
        return tuple(str(key[-1]) for key in self.places if key and key[:-1] == table)


def _key_positions(text: str) -> Iterator[tuple[KeyPath, int, int]]:
    """Yield each key and header with the positions of its start and its end."""
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
                yield array, start, position + len("]]")
                table = (*array, arrays[array])
            else:
                table = _with_array_indexes(parts, arrays)
            position += 2 if repeated else 1
            yield table, start, position
            continue
        parts, position = _parse_key(text, position)
        position, end = _value_end(text, position + 1)
        yield (*table, *parts), start, end


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


def _value_end(text: str, position: int) -> tuple[int, int]:
    """Return the position of the end of a value's last line, and of the value; both may span lines."""
    depth = 0
    end = position
    while position < len(text):
        character = text[position]
        if character in "\"'":
            position = end = _string_end(text, position)
            continue
        if character == "#":
            newline = text.find("\n", position)
            position = len(text) if newline < 0 else newline
            continue
        depth += (character in "[{") - (character in "]}")
        if character == "\n" and depth == 0:
            return position, end
        position += 1
        if not character.isspace():
            end = position
    return position, end


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
