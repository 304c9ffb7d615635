"""Text from elsewhere, such as a handler's error, made safe to show in a terminal, a log or an error message.

Also the order in which names are shown.
"""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"([0-9]+)")
_ESCAPED: Final = (
    *range(0x20),  # C0: line breaks, escape sequences, backspaces
    *range(0x7F, 0xA0),  # DEL and C1, in which 0x9B begins an escape sequence
    *(0x2028, 0x2029),  # line and paragraph separator
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # change the direction of text
)
_REPLACEMENTS: Final = {code: chr(code).encode("unicode_escape").decode() for code in _ESCAPED}
_REPLACEMENTS_IN_LINES: Final = {code: text for code, text in _REPLACEMENTS.items() if chr(code) not in "\t\n"}


def escape_control_characters(text: str, *, multiline: bool = False) -> str:
    r"""Return the text with control characters, and characters that reorder text, as escapes.

    Args:
        text: Any text.
        multiline: Whether to leave tabs and line feeds.

    >>> escape_control_characters("\x1b[2Jdone\n2026-01-01 forged")
    '\\x1b[2Jdone\\n2026-01-01 forged'
    """
    return text.translate(_REPLACEMENTS_IN_LINES if multiline else _REPLACEMENTS)


def natural_key(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Return the key by which names are sorted for people: numbers in them by value.

    >>> sorted(["endpoint-10", "endpoint-2", "api"], key=natural_key)
    ['api', 'endpoint-2', 'endpoint-10']
    """
    parts = _NUMBER.split(name)  # text and numbers take turns, so that only like is compared with like
    return tuple(_number_key(part) if place % 2 else (0, part) for place, part in enumerate(parts)), name


def _number_key(digits: str) -> tuple[int, str]:
    """Return the key of a number without its value: names from an API can have more digits than ``int`` takes."""
    significant = digits.lstrip("0")
    return len(significant), significant
