"""Finds the project folder, and reads its settings from ``fnkit.toml`` or ``pyproject.toml``."""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Final, TypeVar, Union, cast, get_args, get_origin

import msgspec

from fnkit.contract.toml_lines import KeyPath, TomlLines
from fnkit.errors import Problem, ProjectError, ProjectInvalid
from fnkit.project.problems import did_you_mean
from fnkit.project.settings import Settings, SettingsTable, location_in

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

_FNKIT_TOML: Final = "fnkit.toml"
PYPROJECT: Final = "pyproject.toml"
_ERROR_PLACE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_SETTINGS_TABLE: Final = re.compile(r"^\s*\[{1,2}\s*tool\s*\.\s*[\"']?fnkit\b|^\s*tool\.fnkit\b", re.MULTILINE)
_NO_SETTINGS_HINT: Final = "Create a project with `fnkit new shop`, or make this folder one with `fnkit init`."


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


@cache
def _fields_by_name(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {one.encode_name: one for one in msgspec.structs.fields(kind)}


@dataclass(slots=True)
class _TableDecoder:
    file: str
    lines: TomlLines
    problems: list[Problem] = field(default_factory=list)

    def decode(self, kind: type[msgspec.Struct], raw: Mapping[str, object], path: KeyPath) -> msgspec.Struct | None:
        known = _fields_by_name(kind)
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
            is_url = isinstance(raw, dict) and "url_of" in raw
            hint = "url_of is for variables of functions: put it into the env of a function or of defaults."
            message = f"{_format_path(path)}: {_describe_type_error(str(error))}."
            self._add_problem("setting-type", message, hint if is_url else None, path)
            return None

    def _add_unknown_setting(self, key: str, known: tuple[str, ...], path: KeyPath) -> None:
        hint = did_you_mean(key, known) or f"Known settings: {', '.join(known)}."
        self._add_problem(
            "unknown-setting", f"There is no setting {_format_path((*path, key))}.", hint, (*path, key)
        )

    def _add_problem(self, code: str, message: str, hint: str | None, path: KeyPath) -> None:
        self.problems.append(location_in(self.file, self.lines, *path).problem(code, message, hint))


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


def find_root(start: Path) -> Path | None:
    """Return the nearest folder with settings: ``start`` or one of its parents, or ``None``.

    A ``pyproject.toml`` that cannot be parsed counts if its text appears to contain the table, so that the syntax
    error is reported instead of the file being ignored.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / _FNKIT_TOML).is_file() or _mentions_settings(folder / PYPROJECT):
            return folder
    return None


def read_settings(root: Path) -> Settings:
    """Read ``fnkit.toml``, or ``[tool.fnkit]`` of ``pyproject.toml``.

    Raises:
        ProjectError: The folder has no settings (``no-settings``), or a file cannot be read.
        ProjectInvalid: The settings have problems. All of them are included, with file and line.
    """
    project = _load_toml(root, PYPROJECT)
    own = _load_toml(root, _FNKIT_TOML)
    tables = _get_table(project, "tool", PYPROJECT) if project else {}
    if own is None and "fnkit" not in tables:
        raise ProjectError(f"{root} contains no fnkit project.", code="no-settings", hint=_NO_SETTINGS_HINT)
    if own is not None and "fnkit" in tables:
        message = f"Both {_FNKIT_TOML} and [tool.fnkit] of {PYPROJECT} contain settings."
        raise ProjectInvalid((Problem("settings-twice", message, "Keep one of them.", _FNKIT_TOML, 1),))
    if own is not None:
        return _build_settings(root, _FNKIT_TOML, own, (), project)
    return _build_settings(root, PYPROJECT, _get_table(tables, "fnkit", PYPROJECT), ("tool", "fnkit"), project)


def _build_settings(
    root: Path, file: str, raw: dict[str, object], base: tuple[str, ...], project: dict[str, object] | None
) -> Settings:
    lines = TomlLines.from_text(_read_text(root, file), base)
    table, problems = decode_table(SettingsTable, raw, file, lines)
    name = table.name if table is not None else None
    if name is None and "name" not in raw:
        given = _get_table(project, "project", PYPROJECT).get("name") if project else None
        name = given if isinstance(given, str) else None
        if name is None:
            hint = "Add one that will not change: it identifies the project's resources on the platform."
            missing = location_in(file, lines).problem("setting-missing", "The project has no name.", hint)
            problems = (*problems, missing)
    if table is None or name is None or problems:
        raise ProjectInvalid(problems)
    return Settings(file=file, table=table, lines=lines, name=name)


def _get_table(document: dict[str, object], key: str, file: str) -> dict[str, object]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise ProjectInvalid((Problem("setting-type", f"{key} is not a table.", None, file, 1),))
    return value


def _read_text(root: Path, file: str) -> str:
    try:
        # read_text translates line ends to "\n", the only ones that the position index of TomlLines counts.
        return (root / file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProjectInvalid(
            (Problem("toml-syntax", f"{file} is not UTF-8 text (byte {error.start}).", None, file, 1),)
        ) from None
    except OSError as error:
        raise ProjectError(
            f"{root / file} cannot be read: {error.strerror or type(error).__name__}.", code="file-unreadable"
        ) from None


def _load_toml(root: Path, file: str) -> dict[str, object] | None:
    """Parse a file; return ``None`` if it does not exist."""
    if not (root / file).is_file():
        return None
    try:
        return tomllib.loads(_read_text(root, file))
    except ValueError as error:  # TOMLDecodeError, or int() of a number with thousands of digits
        found = _ERROR_PLACE.search(str(error))
        at_end = "(at end of document)" in str(error)
        line = int(found.group(1)) if found else max(1, len(_read_text(root, file).splitlines())) if at_end else 1
        column = int(found.group(2)) if found else None
        message = f"The file is not valid TOML: {re.sub(r' *[(]at .*[)]$', '', str(error))}."
        end = None if column is None else column + 1
        hint = "Strings are in quotes, lists in brackets, and each key of a table stands once."
        raise ProjectInvalid((Problem("toml-syntax", message, hint, file, line, column, end),)) from None
    except RecursionError:
        raise ProjectInvalid((Problem("toml-syntax", f"{file} is nested too deeply.", None, file, 1),)) from None


def _mentions_settings(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if "fnkit" not in text:
        return False
    try:
        tool = tomllib.loads(text).get("tool")
    except (ValueError, RecursionError):
        return _SETTINGS_TABLE.search(text) is not None
    return isinstance(tool, dict) and "fnkit" in tool
