"""Converts TOML tables to settings types, and reports every problem with its line.

msgspec converts single values. It stops at the first error, so this module traverses the tables.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar, Union, cast, get_args, get_origin

import msgspec

from fnkit.errors import Problem
from fnkit.project.toml_lines import KeyPath, TomlLines

__all__ = ["decode_table"]

Table = TypeVar("Table", bound=msgspec.Struct)

_TYPE_NAMES: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


def decode_table(
    kind: type[Table], raw: Mapping[str, object], file: str, lines: TomlLines
) -> tuple[Table | None, tuple[Problem, ...]]:
    """Convert a table and its nested tables.

    Args:
        kind: The settings type of the table.
        raw: The table, as parsed by ``tomllib``.
        file: Path for problems, relative to the project.
        lines: The line numbers of the table's keys.

    Returns:
        The settings, or ``None`` if there are problems, and the problems.
    """
    decoder = _TableDecoder(file, lines)
    value = decoder.decode(kind, raw, ())
    if decoder.problems:
        return None, tuple(decoder.problems)
    return cast("Table", value), ()


@dataclass(slots=True)
class _TableDecoder:
    file: str
    lines: TomlLines
    problems: list[Problem] = field(default_factory=list)

    def decode(self, kind: type[msgspec.Struct], raw: Mapping[str, object], path: KeyPath) -> msgspec.Struct | None:
        known = {one.encode_name: one for one in msgspec.structs.fields(kind)}
        values: dict[str, object] = {}
        count = len(self.problems)
        for key, value in raw.items():
            if key not in known:
                self._add_unknown_setting(key, tuple(known), path)
                continue
            values[known[key].name] = self._decode_value(known[key].type, value, (*path, key))
        for key, one in known.items():
            if one.required and key not in raw:
                self._add_problem("setting-missing", f"{_format_path((*path, key))} is missing.", None, path)
        return kind(**values) if len(self.problems) == count else None

    def _decode_value(self, kind: object, raw: object, path: KeyPath) -> object:
        kind = _without_metadata(kind)
        struct = _settings_type_in(kind)
        if struct is not None and isinstance(raw, dict):
            return self.decode(struct, raw, path)
        arguments = get_args(kind)
        if get_origin(kind) is tuple and isinstance(raw, list):
            return tuple(self._decode_value(arguments[0], item, (*path, index)) for index, item in enumerate(raw))
        if get_origin(kind) is dict and isinstance(raw, dict):
            return {name: self._decode_value(arguments[1], item, (*path, name)) for name, item in raw.items()}
        try:
            return msgspec.convert(raw, kind, strict=True)
        except msgspec.ValidationError as error:
            self._add_problem(
                "setting-type", f"{_format_path(path)}: {_describe_type_error(str(error))}.", None, path
            )
            return None

    def _add_unknown_setting(self, key: str, known: tuple[str, ...], path: KeyPath) -> None:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known settings: {', '.join(known)}."
        self._add_problem(
            "unknown-setting", f"There is no setting {_format_path((*path, key))}.", hint, (*path, key)
        )

    def _add_problem(self, code: str, message: str, hint: str | None, path: KeyPath) -> None:
        self.problems.append(Problem(code, message, hint, self.file, self.lines.line(*path)))


def _without_metadata(kind: object) -> object:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _settings_type_in(kind: object) -> type[msgspec.Struct] | None:
    """Return the settings type among the alternatives of a type, or ``None``."""
    kind = _without_metadata(kind)
    options = get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)
    for option in options:
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _format_path(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _describe_type_error(text: str) -> str:
    """Reword a validation error of msgspec for users.

    ``Expected `int | null`, got `str` - at `$[0]``` becomes ``expected a whole number, got a string (at [0])``.
    """
    match = re.match(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `([^`]*)`)?", text)
    if match is None:
        return text[:1].lower() + text[1:]
    wanted = [_TYPE_NAMES.get(word, word) for word in match.group(1).split(" | ") if word != "null"]
    place = re.sub(r"[$`]|\[\.\.\.\]", "", match.group(3) or "")
    where = f" (at {place.lstrip('.')})" if place else ""
    got = _TYPE_NAMES.get(match.group(2), match.group(2))
    return f"expected {' or '.join(wanted)}, got {got}{where}"
