"""Splits a query into tokens, and reads them one after the other for the parser.

Errors are ``QueryError`` with Loki's message: line and column of the token, and what was expected.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from fnkit.platform.logql.refusal import QueryPosition, QueryError, parse_error
from fnkit.platform.logql.units import parse_duration, parse_size

__all__ = ["MAX_QUERY_CHARACTERS", "TokenKind", "QueryToken", "position_at", "tokenize"]

MAX_QUERY_CHARACTERS: Final = 128 * 1024
"""Loki's limit."""

TokenKind: TypeAlias = Literal["name", "string", "number", "duration", "size", "range", "flag", "symbol", "end"]

_NUMBER: Final = r"(?:\d+\.?\d*|\.\d+)"
_DURATION: Final = rf"(?:{_NUMBER}(?:ns|us|µs|μs|ms|[smhdwy]))+"
# Order matters: alternatives are tried from top to bottom, so durations and sizes precede plain numbers.
_TOKEN: Final = re.compile(
    rf"""
    (?P<space>\s+|\#[^\n]*)
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
    | (?P<range>\[[^\]]*\])
    | (?P<flag>--[a-z-]+)
    | (?P<duration>{_DURATION})(?![\w.])
    | (?P<size>{_NUMBER}(?:[kKmMgGtTpP]?i?[bB]|[kKMGTP]i?))(?![\w.])
    | (?P<number>{_NUMBER}(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<symbol>\|=|\|~|\|>|!=|!~|!>|=~|==|>=|<=|[=<>+\-*/%^|(){{}},])
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))"
)
_ESCAPE_CHARACTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_CODE_POINT: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class QueryToken:
    """A token of a query.

    Attributes:
        kind: The kind of token.
        text: The text as written, or the content of a string without quotes and escapes.
        start: The offset of the first character.
        value: The value of a number, of a duration or range in nanoseconds, or of a size in bytes.
    """

    kind: TokenKind
    text: str
    start: int
    value: float = 0.0


def position_at(text: str, offset: int) -> QueryPosition:
    """Return the line and column of an offset."""
    before = text[:offset]
    return QueryPosition(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def tokenize(text: str) -> list[QueryToken]:
    """Return the tokens of a query, with a token of kind ``end`` as the last.

    Raises:
        QueryError: The query is too long, or contains text that is not a token.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise parse_error(f"input size too long ({len(text)} > {MAX_QUERY_CHARACTERS})")
    tokens: list[QueryToken] = []
    offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        if found is None:
            raise parse_error(_invalid_text_message(text, offset), position_at(text, offset))
        if found.lastgroup != "space":
            tokens.append(_make_token(text, found))
        offset = found.end()
    tokens.append(QueryToken("end", "", len(text)))
    return tokens


def _make_token(text: str, found: re.Match[str]) -> QueryToken:
    written, start = found[0], found.start()
    kind = cast("TokenKind", found.lastgroup)
    match kind:
        case "string":
            return QueryToken(kind, _unquote(text, written, start), start)
        case "number":
            return QueryToken(kind, written, start, _parse_number(text, written, start))
        case "size":
            return QueryToken(kind, written, start, parse_size(written) or 0)
        case "duration" | "range":
            duration = written[1:-1].strip() if kind == "range" else written
            return QueryToken(kind, written, start, _parse_duration_token(text, duration, start))
        case _:
            return QueryToken(kind, written, start)


def _parse_number(text: str, written: str, start: int) -> float:
    number = float(written)
    if math.isinf(number):
        raise parse_error(f"value out of range: {written[:64]}", position_at(text, start))
    return number


def _parse_duration_token(text: str, written: str, start: int) -> int:
    duration = parse_duration(written)
    if duration is None:
        raise parse_error(f'not a valid duration string: "{written[:64]}"', position_at(text, start))
    return duration


def _unquote(text: str, written: str, start: int) -> str:
    if written[0] == "`":
        return written[1:-1]

    def character(found: re.Match[str]) -> str:
        plain, *codes, octal = found.groups()  # the groups of _ESCAPE: letter, \x, \u, \U, octal
        if plain:
            return _ESCAPE_CHARACTERS.get(plain, plain)
        code = int(octal, 8) if octal else int(next(c for c in codes if c), 16)
        if code > _MAX_CODE_POINT or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004  surrogates, which are no characters
            raise _escape_error(text, start)
        return chr(code)

    inner = written[1:-1]
    if "\\" in _ESCAPE.sub("", inner):
        raise _escape_error(text, start)
    return _ESCAPE.sub(character, inner)


def _escape_error(text: str, start: int) -> QueryError:
    return parse_error("invalid char escape", position_at(text, start))


def _invalid_text_message(text: str, offset: int) -> str:
    match text[offset]:
        case '"' | "`":
            return "literal not terminated"
        case "[":
            return "missing closing ']' in duration"
        case character:
            return (
                f"syntax error: unexpected {text[offset : offset + 16]!r}"
                if character.isdigit()
                else (f"syntax error: unexpected character {character!r}")
            )
