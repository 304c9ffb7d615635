"""Parser for ``.env`` files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["DotenvFault", "parse_dotenv"]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAME: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE: Final = re.compile(r"[^\r\n]*")
_REST: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


class DotenvFault(Exception):
    """A syntax error in a ``.env`` file. The message never contains text of the file, which may be a secret."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


def parse_dotenv(text: str) -> Mapping[str, str]:
    """Parse a ``.env`` file.

    Each line is ``NAME=value``, optionally preceded by ``export``. A comment starts with ``#``, after a value only
    if white space precedes it. A value is unquoted, in single quotes (taken literally) or in double quotes (with
    the escapes of ``_ESCAPES``); quoted values may span lines. Variables are not substituted, because a secret may
    contain ``$``.

    Returns:
        The values by name. The last value of a repeated name wins.

    Raises:
        DotenvError: A line cannot be parsed.
    """
    values: dict[str, str] = {}
    position = _after_blank(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        name = _NAME.match(text, position)
        if name is None:
            raise DotenvFault("expected NAME=value", line)
        value, position = _value(text, name.end(), line)
        values[name.group(1)] = value
        position = _after_blank(text, position)
    return values


def _value(text: str, position: int, line: int) -> tuple[str, int]:
    opening = text[position : position + 1]
    if opening not in ("'", '"') or not opening:
        bare = _BARE.match(text, position)
        whole = bare.group() if bare else ""
        return re.split(r"(?:^|[ \t])#", whole, maxsplit=1)[0].strip(), position + len(whole)
    match = (_SINGLE if opening == "'" else _DOUBLE).match(text, position)
    if match is None:
        raise DotenvFault("a quoted value is not closed", line)
    rest = _REST.match(text, match.end())
    if rest is None:
        raise DotenvFault("unexpected text after a quoted value", line + match.group().count("\n"))
    value = match.group(1)
    if opening == '"':
        value = _ESCAPE.sub(lambda found: _ESCAPES.get(found.group(1), found.group()), value)
    return value, rest.end()


def _after_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position
