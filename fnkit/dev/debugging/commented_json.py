"""JSON with comments and trailing commas, as editors write their settings, with the place of each value.

It is read in order to change a part of a file and to keep the rest of it, comments included, as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

_MAX_DEPTH: Final = 50
_SKIPPED: Final = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_decoder: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class JsonNode:
    """A value in a text.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        value: A string, number, boolean or null; ``None`` for objects and arrays.
        members: The members of an object.
        items: The items of an array.
    """

    start: int
    end: int
    value: object = None
    members: dict[str, JsonNode] | None = None
    items: tuple[JsonNode, ...] | None = None

    def member(self, *names: str) -> JsonNode | None:
        """Return the value below these names, ``None`` if there is none."""
        found: JsonNode | None = self
        for name in names:
            found = found.members.get(name) if found is not None and found.members is not None else None
        return found


def parse_commented_json(text: str) -> JsonNode:
    """Return the value that a text contains.

    Raises:
        ValueError: It is no JSON with comments.
    """
    try:
        node = _parse(text, _skip(text, 0), 0)
    except IndexError:
        raise ValueError("it is cut off") from None
    if _skip(text, node.end) != len(text):
        raise ValueError("there is something after the value")
    return node


def _skip(text: str, position: int) -> int:
    """Return the position after white space and comments."""
    match = _SKIPPED.match(text, position)
    return match.end() if match else position


def _parse(text: str, start: int, depth: int) -> JsonNode:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    match text[start]:
        case "{":
            return _parse_object(text, start, depth)
        case "[":
            return _parse_array(text, start, depth)
        case _:
            value, end = _decoder.raw_decode(text, start)
            return JsonNode(start, end, value)


def _parse_object(text: str, start: int, depth: int) -> JsonNode:
    members: dict[str, JsonNode] = {}
    position = _skip(text, start + 1)
    while text[position] != "}":
        name, position = _decoder.raw_decode(text, position)
        position = _skip(text, position)
        if not isinstance(name, str) or text[position] != ":":
            raise ValueError("a name is missing")
        members[name] = node = _parse(text, _skip(text, position + 1), depth + 1)
        position = _after_separator(text, node.end, "}")
    return JsonNode(start, position + 1, members=members)


def _parse_array(text: str, start: int, depth: int) -> JsonNode:
    items: list[JsonNode] = []
    position = _skip(text, start + 1)
    while text[position] != "]":
        items.append(_parse(text, position, depth + 1))
        position = _after_separator(text, items[-1].end, "]")
    return JsonNode(start, position + 1, items=tuple(items))


def _after_separator(text: str, position: int, closing: str) -> int:
    """Return where the next value or the closing bracket is."""
    position = _skip(text, position)
    if text[position] == ",":
        return _skip(text, position + 1)
    if text[position] != closing:
        raise ValueError("a comma is missing")
    return position
