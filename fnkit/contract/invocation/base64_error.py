"""Where Go's base64 decoder gives up, which is part of the error that a client gets."""

from __future__ import annotations

import re
from typing import Final

_ALPHABET: Final = re.compile(rb"[A-Za-z0-9+/\r\n]*")
_LINE_BREAKS: Final = re.compile(rb"[\r\n]*")
_CHARACTERS_BEFORE_TWO_PADS: Final = 2


def base64_error_position(text: bytes) -> int:
    """Return the position in Go's ``CorruptInputError`` for text that ``base64.StdEncoding`` rejects.

    >>> base64_error_position(b"aGk"), base64_error_position(b"aG*="), base64_error_position(b"aG=k")
    (0, 2, 2)
    """
    end = _end_of(_ALPHABET, text, 0)
    count = len(text[:end].translate(None, b"\r\n")) % 4  # of the last quantum, if it is incomplete
    if end == len(text):
        return end - count  # the padding is missing
    if text[end : end + 1] != b"=" or count < _CHARACTERS_BEFORE_TWO_PADS:
        return end
    after = _end_of(_LINE_BREAKS, text, end + 1)
    if count == _CHARACTERS_BEFORE_TWO_PADS:
        if text[after : after + 1] != b"=":
            return after if after == len(text) else after - 1
        after = _end_of(_LINE_BREAKS, text, after + 1)
    return after  # something follows the padding


def _end_of(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start
