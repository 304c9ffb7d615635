"""Parser for ``.env`` files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["DotenvError", "parse_dotenv"]

_WHITE_SPACE_AND_COMMENTS: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ASSIGNMENT: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")
_DOUBLE_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED: Final = re.compile(r"[^\r\n]*")
_END_OF_LINE: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


class DotenvError(Exception):
    """A syntax error in a ``.env`` file. The message never contains text of the file, which may be a secret."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.reason = what
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
    position = _skip_blank(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        name = _ASSIGNMENT.match(text, position)
        if name is None:
            raise DotenvError("expected NAME=value", line)
        value, position = _parse_value(text, name.end(), line)
        values[name.group(1)] = value
        position = _skip_blank(text, position)
    return values


def _parse_value(text: str, position: int, line: int) -> tuple[str, int]:
    opening = text[position : position + 1]
    if opening not in ("'", '"') or not opening:
        bare = _UNQUOTED.match(text, position)
        whole = bare.group() if bare else ""
        return re.split(r"(?:^|[ \t])#", whole, maxsplit=1)[0].strip(), position + len(whole)
    match = (_SINGLE_QUOTED if opening == "'" else _DOUBLE_QUOTED).match(text, position)
    if match is None:
        raise DotenvError("a quoted value is not closed", line)
    rest = _END_OF_LINE.match(text, match.end())
    if rest is None:
        raise DotenvError("unexpected text after a quoted value", line + match.group().count("\n"))
    value = match.group(1)
    if opening == '"':
        value = _ESCAPE.sub(lambda found: _ESCAPES.get(found.group(1), found.group()), value)
    return value, rest.end()


def _skip_blank(text: str, position: int) -> int:
    match = _WHITE_SPACE_AND_COMMENTS.match(text, position)
    return match.end() if match else position
