"""JSON as Go decodes it, with the standard library alone.

Go accepts lone surrogates and bytes that are not UTF-8, and replaces them by U+FFFD. The members of an object are
slices of the document, so that a body is sent as the handler wrote it. They are found without keeping their values:
a client whose text a handler returns decides how many there are, and a list of empty lists takes twenty times its
size in memory.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final, TypeVar

from fnkit.contract.invocation.event import decode_text

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_PLAIN_CHARACTERS: Final = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPE: Final = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_ESCAPES: Final = re.compile(rf'(?:{_ESCAPE}[^"\\\x00-\x1f]*){{1,500}}')
_NUMBER_OR_NAME: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_CLOSING: Final = {"{": "}", "[": "]"}
_MAX_DEPTH: Final = 1000
_SCAN_STEPS_MAX: Final = 500_000  # some seconds; each skips up to 500 flat values
_LEVELS_IN_RUNS: Final = 2  # compiling one more takes five times as long
_DECODED_VALUES_MAX: Final = 200_000  # some 15 MB
_INTEGER_DIGITS_MAX: Final = 4300  # what Python converts by default
_JSON_SPACE: Final = b" \t\r\n"

_Item = TypeVar("_Item")


def decode_string(raw: bytes) -> str | None:
    """Return the text of a JSON string, with U+FFFD for what is not Unicode; ``None`` if it is none."""
    if raw.lstrip(_JSON_SPACE)[:1] != b'"':
        return None
    try:
        text: str = json.loads(decode_text(raw))
    except ValueError:
        return None
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def decode_members(raw: bytes) -> dict[str, bytes] | None:
    """Return the members of an object with their undecoded values; the last one of a name counts.

    Returns:
        ``None`` if the document is not a valid object.
    """
    try:
        return dict(_Document(raw).members())
    except ValueError:
        return None


def decode_texts(raw: bytes) -> dict[str, str | list[str]] | None:
    """Return the members of an object as texts, lists of them as lists; all other values become an empty text.

    Returns:
        ``None`` if the document is not a valid object, or has a number that Go cannot represent.
    """
    members = decode_members(raw)
    if members is None or not all(map(_is_in_range, members.values())):
        return None
    return {name: _decode_texts_of(value) for name, value in members.items()}


def _decode_texts_of(raw: bytes) -> str | list[str]:
    if raw[:1] == b"[":
        return [decode_string(element) or "" for element in _Document(raw).elements()] or ""
    return decode_string(raw) or ""


def _is_in_range(raw: bytes) -> bool:
    if raw[:1] not in b"-0123456789":
        return True
    if raw.lstrip(b"-").isdigit():
        return len(raw) <= _INTEGER_DIGITS_MAX
    return not math.isinf(float(raw))


class _Document:
    """A document, as text with a character for each byte. Iterators raise ``ValueError`` if it is invalid."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._text = text = raw.decode("latin-1")
        values = sum(map(text.count, ",[{"))
        has_few = values <= _DECODED_VALUES_MAX
        self._end_of_value: Callable[[str, int], int] = _end_by_decoding if has_few else _end_by_scanning

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield the names and the undecoded values of an object."""
        return self._items("{", self._read_member)

    def elements(self) -> Iterator[bytes]:
        """Yield the undecoded elements of an array."""
        return self._items("[", self._read_element)

    def _items(self, opening: str, read: Callable[[int], tuple[_Item, int]]) -> Iterator[_Item]:
        text, position = self._text, _skip_space(self._text, 0)
        if text[position : position + 1] != opening:
            raise ValueError("another type of value")
        position = _skip_space(text, position + 1)
        has_next = text[position : position + 1] != _CLOSING[opening]
        while has_next:
            item, end = read(position)
            yield item
            position = _skip_space(text, end)
            has_next = text[position : position + 1] == ","
            if has_next:
                position = _skip_space(text, position + 1)
        if text[position : position + 1] != _CLOSING[opening] or _skip_space(text, position + 1) < len(text):
            raise ValueError("an incomplete value, or something after it")

    def _read_member(self, position: int) -> tuple[tuple[str, bytes], int]:
        end = _end_of_string(self._text, position)
        name = decode_string(self._raw[position:end]) or ""
        value, end = self._read_element(_skip_colon(self._text, end))
        return (name, value), end

    def _read_element(self, position: int) -> tuple[bytes, int]:
        end = self._end_of_value(self._text, position)
        return self._raw[position:end], end


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _skip_colon(text: str, position: int) -> int:
    position = _skip_space(text, position)
    if text[position : position + 1] != ":":
        raise ValueError("a name without a value")
    return _skip_space(text, position + 1)


def _reject_constant(name: str) -> object:
    raise ValueError(f"{name} is not valid JSON")


# Numbers are not converted, which can take long.
_decoder: Final = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_reject_constant)


def _end_by_decoding(text: str, position: int) -> int:
    """Return the end of a value, found by C functions."""
    try:
        return _decoder.raw_decode(text, position)[1]
    except RecursionError:
        raise ValueError("too many levels") from None


def _end_by_scanning(text: str, position: int) -> int:
    """Return the end of a value, found without a copy of it and without recursion."""
    runs = _runs()
    closing: list[str] = []
    for _ in range(_SCAN_STEPS_MAX):
        opening = text[position : position + 1]
        if opening in _CLOSING:
            closing.append(_CLOSING[opening])
            if len(closing) > _MAX_DEPTH:
                raise ValueError("too many levels")
            position = _skip_space(text, position + 1)
            if text[position : position + 1] != closing[-1]:
                position = _skip_run(text, position, closing[-1], runs)
                continue
        else:
            position = _end_of_scalar(text, position)
        position = _skip_ends(text, position, closing)
        if not closing:
            return position
        if text[position : position + 1] != ",":
            raise ValueError("a value without a comma after it")
        position = _skip_run(text, _skip_space(text, position + 1), closing[-1], runs)
    raise ValueError("too many nested values")


@cache
def _runs() -> dict[str, re.Pattern[str]]:
    """Return the patterns of many elements (``]``) or members (``}``) with at most two levels in them.

    No count is unlimited, because ``re`` remembers every repetition until the match ends.
    """
    space = r"[ \t\n\r]*"
    comma = f"{space},{space}"
    name = r'"[^"\\\x00-\x1f]*(?:' + _ESCAPE + r'[^"\\\x00-\x1f]*){0,50}"'
    value = rf"(?:{name}|{_NUMBER_OR_NAME.pattern}|\[{space}\]|\{{{space}\}})"
    for _ in range(_LEVELS_IN_RUNS):
        member = f"{name}{space}:{space}{value}"
        array = rf"\[{space}{value}(?:{comma}{value}){{0,100}}{space}\]"
        value = rf"(?:{value}|{array}|\{{{space}{member}(?:{comma}{member}){{0,100}}{space}\}})"
    return {
        "]": re.compile(f"(?:{value}{comma}){{0,500}}"),
        "}": re.compile(f"(?:{name}{space}:{space}{value}{comma}){{0,500}}"),
    }


def _skip_run(text: str, position: int, closing: str, runs: Mapping[str, re.Pattern[str]]) -> int:
    """Return the start of the first value after a run of elements or members."""
    found = runs[closing].match(text, position)
    position = found.end() if found else position
    return _skip_colon(text, _end_of_string(text, position)) if closing == "}" else position


def _skip_ends(text: str, position: int, closing: list[str]) -> int:
    """Return the position after the ends of all containers that end here, and remove them from the list."""
    while closing:
        position = _skip_space(text, position)
        if text[position : position + 1] != closing[-1]:
            break
        closing.pop()
        position += 1
    return position


def _end_of_scalar(text: str, position: int) -> int:
    if text[position : position + 1] == '"':
        return _end_of_string(text, position)
    found = _NUMBER_OR_NAME.match(text, position)
    if found is None:
        raise ValueError("no value")
    return found.end()


def _end_of_string(text: str, position: int) -> int:
    if text[position : position + 1] != '"':
        raise ValueError("no string")
    found = _PLAIN_CHARACTERS.match(text, position + 1)
    while found is not None and text[found.end() : found.end() + 1] == "\\":
        found = _ESCAPES.match(text, found.end())
    if found is None or text[found.end() : found.end() + 1] != '"':
        raise ValueError("an invalid string")
    return found.end() + 1
