"""Parsers that extract labels from lines: JSON (all fields, or those at given paths), logfmt, regexp and pattern.

A line that does not have the format stays in the result with the label ``__error__``, as in Loki.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fnkit.platform.logql.entries import Entry, label_name
from fnkit.platform.logql.json_paths import read_json_path
from fnkit.platform.logql.syntax import JsonParser

__all__ = ["json_parser"]

_DEPTH_MAX: Final = 64
_ERROR: Final = "JSONParserErr"
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_any: Final = msgspec.json.Decoder(msgspec.Raw)
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_string: Final = msgspec.json.Decoder(str)
_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def json_parser(stage: JsonParser) -> Callable[[Entry], bool]:
    """Return the step of ``| json``; a line that is not a JSON object gets ``__error__``."""
    if stage.extractions:
        paths = [(one.label, read_json_path(one.expression) or ()) for one in stage.extractions]
        return lambda entry: _some(entry, paths)
    return _every


def _every(entry: Entry) -> bool:
    try:
        fields = list(_fields(_parsed(entry.line), (), 0))
    except _FAULTS as error:
        entry.fail(_ERROR, str(error))
        return True
    for name, value in fields:
        entry.extract(name, value)
    return True


def _parsed(line: str) -> dict[str, msgspec.Raw]:
    try:
        return _object.decode(line)
    except msgspec.DecodeError:
        return _object.decode(_document(line))


def _document(line: str) -> bytes:
    """Return the JSON value at the start of a line without the text after it, which Loki ignores."""
    raw = line.encode("utf-8", "replace")
    try:
        _any.decode(raw)
    except msgspec.DecodeError as error:
        if trailing := _TRAILING.search(str(error)):
            return raw[: int(trailing[1]) - 1]  # msgspec names the position after the first trailing byte
    return raw


def _fields(parent: dict[str, msgspec.Raw], prefix: tuple[str, ...], depth: int) -> Iterator[tuple[str, str]]:
    """Yield label names and values. Names of nested fields are joined with ``_``; arrays and nulls are omitted."""
    for key, raw in parent.items():
        first = bytes(memoryview(raw)[:1])
        if first == b"{":
            if depth == _DEPTH_MAX:
                raise RecursionError("nested too deeply")
            yield from _fields(_object.decode(raw), (*prefix, key), depth + 1)
        elif first not in (b"[", b"n") and (name := _joined(prefix, key)):
            yield name, _text(raw, first)


def _joined(prefix: tuple[str, ...], key: str) -> str:
    if not prefix:
        return label_name(key)
    return label_name("_".join(part.strip() for part in (*prefix, key) if part.strip()))


def _text(raw: msgspec.Raw, first: bytes) -> str:
    if first == b'"':
        return _string.decode(raw).replace("\ufffd", " ")
    return bytes(raw).decode()


def _some(entry: Entry, paths: list[tuple[str, tuple[str | int, ...]]]) -> bool:
    if not entry.line:
        return True
    if entry.line[0] not in '{["':
        entry.fail(_ERROR, "the line is not JSON")
        return True
    try:
        document = msgspec.Raw(_document(entry.line))
        found = [(label, _at(document, path)) for label, path in paths]
    except _FAULTS:  # as in Loki, a line that only starts like JSON has none of the fields, and no error
        found = [(label, None) for label, _ in paths]
    for label, value in found:
        if value is not None:
            entry.extract(label, value)
        elif entry.get(label) is None:
            entry.set(label, "")
    return True


def _at(raw: msgspec.Raw, path: tuple[str | int, ...]) -> str | None:
    """Return the text at a path, or ``None`` if there is none. Objects and arrays are returned as JSON."""
    for step in path:
        child: msgspec.Raw | None = None
        first = bytes(memoryview(raw)).lstrip()[:1]
        if isinstance(step, str) and first == b"{":
            child = _object.decode(raw).get(step)
        elif isinstance(step, int) and first == b"[":
            values = _array.decode(raw)
            child = values[step] if step < len(values) else None
        if child is None:
            return None
        raw = child
    first = bytes(memoryview(raw)[:1])
    return "" if first == b"n" else _text(raw, first)
