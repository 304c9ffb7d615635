"""JSON as Go decodes it, by msgspec, which is fast and stricter: what it rejects is left to ``loose_json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.invocation import loose_json

_REJECTIONS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_object_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string_decoder: Final = msgspec.json.Decoder(str)
_value_decoder: Final = msgspec.json.Decoder(object)


def decode_string(raw: bytes) -> str | None:
    """Return the text of a JSON string, with U+FFFD for what is not Unicode; ``None`` if it is none."""
    try:
        return _string_decoder.decode(raw)
    except _REJECTIONS:
        return loose_json.decode_string(raw)


def decode_members(raw: bytes) -> Mapping[str, bytes] | None:
    """Return the members of an object with their undecoded values; the last one of a name counts.

    Returns:
        ``None`` if the document is not a valid object.
    """
    try:
        return _object_decoder.decode(raw)
    except _REJECTIONS:
        return loose_json.decode_members(raw)


def decode_texts(raw: bytes) -> dict[str, str | list[str]] | None:
    """Return the members of an object as texts, lists of them as lists; all other values become an empty text.

    Returns:
        ``None`` if the document is not a valid object, or has a number that Go cannot represent.
    """
    try:
        values = _value_decoder.decode(raw)
    except _REJECTIONS:
        return loose_json.decode_texts(raw)
    if not isinstance(values, dict):
        return None
    return {
        name: [*map(_text_or_empty, value)] if isinstance(value, list) and value else _text_or_empty(value)
        for name, value in values.items()
    }


def _text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""
