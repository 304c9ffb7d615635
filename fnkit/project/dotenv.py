"""Reads and edits ``.env`` files. The syntax is documented at ``parse_dotenv``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_WHITE_SPACE_AND_COMMENTS: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ASSIGNMENT: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")
_DOUBLE_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED: Final = re.compile(r"[^\r\n]*")
_END_OF_LINE: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
"""Values that need no quotes, in other tools that read such files either."""


class DotenvError(Exception):
    """A syntax error in a ``.env`` file. The message never contains text of the file, which may be a secret."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.reason = what
        self.line = line


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One ``NAME=value``, and the positions in the text at which it begins and ends (with its line end)."""

    name: str
    value: str
    start: int
    end: int

    def __repr__(self) -> str:
        return f"_Assignment({self.name!r})"


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
    return {one.name: one.value for one in _assignments(text)}


def set_dotenv_value(text: str, name: str, value: str) -> str:
    """Return the text with ``NAME=value`` in place of the name's assignments, or else at the end.

    Everything else stays as it is, comments included.

    Raises:
        DotenvError: A line cannot be parsed.
    """
    line = f"{name}={quote_dotenv_value(value)}\n"
    found = [one for one in _assignments(text) if one.name == name]
    if not found:
        separator = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{separator}{line}"
    return _without(text[: found[-1].start], name) + line + text[found[-1].end :]


def unset_dotenv_value(text: str, name: str) -> str:
    """Return the text without the assignments of a name.

    Raises:
        DotenvError: A line cannot be parsed.
    """
    return _without(text, name)


def quote_dotenv_value(value: str) -> str:
    """Return a value as it is written in a ``.env`` file, quoted where necessary.

    >>> quote_dotenv_value("postgres://db/shop"), quote_dotenv_value("two words")
    ('postgres://db/shop', "'two words'")
    """
    if _PLAIN_VALUE.fullmatch(value):
        return value
    if not re.search(r"['\n\r]", value):
        return f"'{value}'"
    escaped = value
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r")):
        escaped = escaped.replace(character, escape)
    return f'"{escaped}"'


def _without(text: str, name: str) -> str:
    kept, position = [], 0
    for one in _assignments(text):
        if one.name == name:
            kept.append(text[position : one.start])
            position = one.end
    return "".join([*kept, text[position:]])


def _assignments(text: str) -> Iterator[_Assignment]:
    position = _skip_blank(text, 0)
    while position < len(text):
        start = position
        line = text.count("\n", 0, position) + 1
        name = _ASSIGNMENT.match(text, position)
        if name is None:
            raise DotenvError("expected NAME=value", line)
        value, position = _parse_value(text, name.end(), line)
        yield _Assignment(name.group(1), value, start, position)
        position = _skip_blank(text, position)


def _parse_value(text: str, position: int, line: int) -> tuple[str, int]:
    """Return the value at a position, and the position after its line."""
    opening = text[position : position + 1]
    if opening not in ("'", '"') or not opening:
        bare = _UNQUOTED.match(text, position)
        whole = bare.group() if bare else ""
        end = _END_OF_LINE.match(text, position + len(whole))  # no match at a carriage return of its own
        return (
            re.split(r"(?:^|[ \t])#", whole, maxsplit=1)[0].strip(),
            end.end() if end else position + len(whole),
        )
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
