"""Parsers that extract labels from lines: JSON (all fields, or those at given paths), logfmt, regexp and pattern.

A line that does not have the format stays in the result with the label ``__error__``, as in Loki.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fnkit.platform.logql.entries import LogEntry, to_label_name
from fnkit.platform.logql.json_paths import parse_json_path
from fnkit.platform.logql.syntax import JsonParser

__all__ = ["json_step"]

_MAX_DEPTH: Final = 64
_JSON_ERROR: Final = "JSONParserErr"
_object_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_value_decoder: Final = msgspec.json.Decoder(msgspec.Raw)
_TRAILING_CHARACTERS: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_string_decoder: Final = msgspec.json.Decoder(str)
_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def json_step(stage: JsonParser) -> Callable[[LogEntry], bool]:
    """Return the step of ``| json``; a line that is not a JSON object gets ``__error__``."""
    if stage.extractions:
        paths = [(one.label, parse_json_path(one.expression) or ()) for one in stage.extractions]
        return lambda entry: _extract_paths(entry, paths)
    return _extract_all


def _extract_all(entry: LogEntry) -> bool:
    try:
        fields = list(_flatten(_decode_object(entry.line), (), 0))
    except _DECODE_ERRORS as error:
        entry.set_error(_JSON_ERROR, str(error))
        return True
    for name, value in fields:
        entry.add_extracted(name, value)
    return True


def _decode_object(line: str) -> dict[str, msgspec.Raw]:
    try:
        return _object_decoder.decode(line)
    except msgspec.DecodeError:
        return _object_decoder.decode(_leading_json(line))


def _leading_json(line: str) -> bytes:
    """Return the JSON value at the start of a line without the text after it, which Loki ignores."""
    raw = line.encode("utf-8", "replace")
    try:
        _value_decoder.decode(raw)
    except msgspec.DecodeError as error:
        if trailing := _TRAILING_CHARACTERS.search(str(error)):
            return raw[: int(trailing[1]) - 1]  # msgspec names the position after the first trailing byte
    return raw


def _flatten(parent: dict[str, msgspec.Raw], prefix: tuple[str, ...], depth: int) -> Iterator[tuple[str, str]]:
    """Yield label names and values. Names of nested fields are joined with ``_``; arrays and nulls are omitted."""
    for key, raw in parent.items():
        first = bytes(memoryview(raw)[:1])
        if first == b"{":
            if depth == _MAX_DEPTH:
                raise RecursionError("nested too deeply")
            yield from _flatten(_object_decoder.decode(raw), (*prefix, key), depth + 1)
        elif first not in (b"[", b"n") and (name := _nested_label_name(prefix, key)):
            yield name, _label_value(raw, first)


def _nested_label_name(prefix: tuple[str, ...], key: str) -> str:
    if not prefix:
        return to_label_name(key)
    return to_label_name("_".join(part.strip() for part in (*prefix, key) if part.strip()))


def _label_value(raw: msgspec.Raw, first: bytes) -> str:
    if first == b'"':
        return _string_decoder.decode(raw).replace("\ufffd", " ")
    return bytes(raw).decode()


def _extract_paths(entry: LogEntry, paths: list[tuple[str, tuple[str | int, ...]]]) -> bool:
    if not entry.line:
        return True
    if entry.line[0] not in '{["':
        entry.set_error(_JSON_ERROR, "the line is not JSON")
        return True
    try:
        document = msgspec.Raw(_leading_json(entry.line))
        found = [(label, _resolve_path(document, path)) for label, path in paths]
    except _DECODE_ERRORS:  # as in Loki, a line that only starts like JSON has none of the fields, and no error
        found = [(label, None) for label, _ in paths]
    for label, value in found:
        if value is not None:
            entry.add_extracted(label, value)
        elif entry.get(label) is None:
            entry.set_label(label, "")
    return True


def _resolve_path(raw: msgspec.Raw, path: tuple[str | int, ...]) -> str | None:
    """Return the text at a path, or ``None`` if there is none. Objects and arrays are returned as JSON."""
    for step in path:
        child: msgspec.Raw | None = None
        first = bytes(memoryview(raw)).lstrip()[:1]
        if isinstance(step, str) and first == b"{":
            child = _object_decoder.decode(raw).get(step)
        elif isinstance(step, int) and first == b"[":
            values = _array_decoder.decode(raw)
            child = values[step] if step < len(values) else None
        if child is None:
            return None
        raw = child
    first = bytes(memoryview(raw)[:1])
    return "" if first == b"n" else _label_value(raw, first)
