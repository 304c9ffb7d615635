"""Parsers that extract labels from lines: JSON (all fields, or those at given paths), logfmt, regexp and pattern.

A line that does not have the format stays in the result with the label ``__error__``, as in Loki.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fnkit.platform.logql.entry import LogEntry, to_label_name
from fnkit.platform.logql.regex import group_extractor
from fnkit.platform.logql.syntax import JsonParser, LogfmtParser, PatternParser, RegexpParser

_PATH_STEP: Final = re.compile(
    r"""\s*(?:(?P<dot>\.)?(?P<field>[A-Za-z_][A-Za-z0-9_-]*)|\["(?P<key>[^"]*)"\]|\[(?P<index>\d{1,9})\])"""
)

_CAPTURE: Final = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")

_LOGFMT_ERROR: Final = "LogfmtParserErr"
_LOGFMT_PAIR: Final = re.compile(
    r"""[\x00-\x20]*
    (?P<key>[^\x00-\x20="]*)
    (?P<equal>=?)
    (?P<value>"(?:[^"\\]|\\.)*"|[^\x00-\x20="]*)
    (?P<rest>[^\x00-\x20]*)""",
    re.VERBOSE | re.DOTALL,
)

_MAX_DEPTH: Final = 64
_JSON_ERROR: Final = "JSONParserErr"
_object_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_value_decoder: Final = msgspec.json.Decoder(msgspec.Raw)
_TRAILING_CHARACTERS: Final = re.compile(r"trailing characters \(byte (\d+)\)")
_string_decoder: Final = msgspec.json.Decoder(str)
_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_json_path(text: str) -> tuple[str | int, ...] | None:
    """Return the keys and indexes of a path, or ``None`` if it is malformed.

    >>> parse_json_path('a.b["c d"][2]'), parse_json_path("a..b")
    (('a', 'b', 'c d', 2), None)
    """
    steps: list[str | int] = []
    end = 0
    while end < len(text.rstrip()):
        found = _PATH_STEP.match(text, end)
        if found is None:
            return None
        if found["field"] is not None:
            if (found["dot"] is None) != (not steps):
                return None  # a dot is required between fields and invalid before the first one
            steps.append(found["field"])
        elif found["key"] is not None:
            steps.append(found["key"])
        else:
            steps.append(int(found["index"]))
        end = found.end()
    return tuple(steps) or None


def check_json_path(text: str) -> str:
    """Return the error of a path, or an empty string if it is valid."""
    return f"cannot parse expression [{text[:64]}]" if parse_json_path(text) is None else ""


def check_extraction_pattern(pattern: str) -> str:
    """Return the error of a pattern, or an empty string if it is valid."""
    parts = _CAPTURE.split(pattern)
    names = [name for name in parts[1::2] if name != "_"]
    if not names:
        return "at least one capture is required"
    if len(set(names)) != len(names):
        return f"duplicate capture name ({next(n for n in names if names.count(n) > 1)})"
    if "" in parts[2:-1:2]:
        return "consecutive captures are not allowed: there must be text between them"
    return ""


def _compile_extraction_pattern(pattern: str) -> Callable[[str], list[tuple[str, str]]]:
    """Return a function that extracts the captures from a line, up to the first literal that the line lacks.

    >>> _compile_extraction_pattern("<method> <path> <_>")("GET /a HTTP/1.1")
    [('method', 'GET'), ('path', '/a')]
    """
    first, *rest = _CAPTURE.split(pattern)
    captures = list(zip(rest[::2], rest[1::2], strict=True))

    def fields(line: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if not line or not line.startswith(first):
            return found
        position = len(first)
        for name, text in captures:
            end = line.find(text, position) if text else -1
            value = line[position:] if end < 0 else line[position:end]
            if name != "_":
                found.append((name, value))
            if end < 0:
                break
            position = end + len(text)
        return found

    return fields


def logfmt_step(stage: LogfmtParser) -> Callable[[LogEntry], bool]:
    """Return the step of ``| logfmt``; with ``--strict`` a line with malformed pairs gets ``__error__``."""
    labels = {extraction.expression: extraction.label for extraction in stage.extractions}

    def step(entry: LogEntry) -> bool:
        seen = set()
        for key, value in _logfmt_pairs(entry.line):
            if value is None:
                if stage.strict:
                    entry.set_error(_LOGFMT_ERROR, f"logfmt syntax error: {key[:64]}")
                    break
                continue
            if labels:
                if (label := labels.get(key)) and label not in seen:
                    seen.add(label)
                    entry.add_extracted(label, value)
            elif (name := to_label_name(key)) and (value or stage.keep_empty):
                entry.add_extracted(name, value.replace("\ufffd", " "))
        for label in labels.values():
            if entry.get(label) is None:
                entry.set_label(label, "")
        return True

    return step


def _logfmt_pairs(line: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys and values of a line; a value of ``None`` marks malformed text up to the next space.

    >>> list(_logfmt_pairs('a=1 b c="x y" =2'))
    [('a', '1'), ('b', ''), ('c', 'x y'), ('=2', None)]
    """
    position, end = 0, len(line)
    while position < end:
        found = _LOGFMT_PAIR.match(line, position)
        if found is None or found.end() == position:
            return
        position = found.end()
        key, value = found["key"], found["value"]
        if not (key or found["equal"] or value or found["rest"]):
            continue  # trailing spaces
        is_quoted = value.startswith('"')
        broken = found["rest"] and not (is_quoted and not found["rest"].startswith(("=", '"')))
        if not key or broken or (value and not found["equal"]):
            yield found[0].strip(), None
        elif is_quoted:
            yield key, _unquote_value(value)
            position = found.start("rest")  # text directly after a closing quote starts the next pair
        else:
            yield key, value


def _unquote_value(text: str) -> str | None:
    if "\\" not in text:
        return text[1:-1]
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def captures_step(stage: RegexpParser | PatternParser) -> Callable[[LogEntry], bool]:
    """Return the step of ``| regexp`` or ``| pattern``, which makes each named group or capture a label."""
    compile_pattern = group_extractor if isinstance(stage, RegexpParser) else _compile_extraction_pattern
    fields = compile_pattern(stage.pattern)

    def step(entry: LogEntry) -> bool:
        for name, value in fields(entry.line):
            entry.add_extracted(to_label_name(name), value)
        return True

    return step


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
