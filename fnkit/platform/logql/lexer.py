"""Splits a query into tokens, and reads them one after the other for the parser.

Errors are ``QueryError`` with Loki's message: line and column of the token, and what was expected.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from fnkit.errors import PlatformError
from fnkit.platform.logql.units import parse_duration, parse_size

MAX_QUERY_CHARACTERS: Final = 128 * 1024
"""Loki's limit."""
TokenKind: TypeAlias = Literal["name", "string", "number", "duration", "size", "range", "flag", "symbol", "end"]
# Each text matches in one way only: with "\d+\.?\d*", 5,000 digits took seconds to be rejected.
_NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"
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
_INVALID_ESCAPE: Final = "invalid char escape"

MAX_NESTING = 50
_MAX_OPERATIONS = 500


class QueryError(PlatformError):
    """A log query is invalid, unsupported or exceeds a limit. The message is the body of the response."""

    default_code = "query-refused"


def _parse_error(message: str, text: str, offset: int) -> QueryError:
    """Return the exception for a query that cannot be parsed at an offset. Columns are characters.

    >>> _parse_error("unexpected ]", "rate]", 4).message
    'parse error at line 1, col 5: unexpected ]'
    """
    before = text[:offset]
    line, column = before.count("\n") + 1, offset - before.rfind("\n")
    return QueryError(f"parse error at line {line}, col {column}: {message}")


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


def tokenize(text: str) -> list[QueryToken]:
    """Return the tokens of a query, with a token of kind ``end`` as the last.

    Raises:
        QueryError: The query is too long, or contains text that is not a token.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise QueryError(f"parse error : input size too long ({len(text)} > {MAX_QUERY_CHARACTERS})")
    tokens: list[QueryToken] = []
    offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        if found is None:
            raise _parse_error(_invalid_text_message(text, offset), text, offset)
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
            number = float(written)
            if math.isinf(number):
                raise _parse_error(f"value out of range: {written[:64]}", text, start)
            return QueryToken(kind, written, start, number)
        case "size":
            return QueryToken(kind, written, start, parse_size(written) or 0)
        case "duration" | "range":
            inner = written[1:-1].strip() if kind == "range" else written
            duration = parse_duration(inner)
            if duration is None:
                raise _parse_error(f'not a valid duration string: "{inner[:64]}"', text, start)
            return QueryToken(kind, written, start, duration)
        case _:
            return QueryToken(kind, written, start)


def _unquote(text: str, written: str, start: int) -> str:
    if written[0] == "`":
        return written[1:-1]

    def character(found: re.Match[str]) -> str:
        plain, *codes, octal = found.groups()  # the groups of _ESCAPE: letter, \x, \u, \U, octal
        if plain:
            return _ESCAPE_CHARACTERS.get(plain, plain)
        code = int(octal, 8) if octal else int(next(c for c in codes if c), 16)
        if code > _MAX_CODE_POINT or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004  surrogates, which are no characters
            raise _parse_error(_INVALID_ESCAPE, text, start)
        return chr(code)

    inner = written[1:-1]
    if "\\" in _ESCAPE.sub("", inner):
        raise _parse_error(_INVALID_ESCAPE, text, start)
    return _ESCAPE.sub(character, inner)


def _invalid_text_message(text: str, offset: int) -> str:
    match text[offset]:
        case '"' | "`":
            return "literal not terminated"
        case "[":
            return "missing closing ']' in duration"
        case character if character.isdigit():
            return f"syntax error: unexpected {text[offset : offset + 16]!r}"
        case character:
            return f"syntax error: unexpected character {character!r}"


class TokenReader:
    """Reads the tokens of a query in order; it never goes back.

    It also limits nesting and the number of operators: the tree is evaluated recursively, so a hostile query could
    otherwise exhaust the stack.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next = 0
        self._depth = 0
        self._operations = 0

    @property
    def token(self) -> QueryToken:
        """The current token, which is not consumed yet; the last one has the kind ``end``."""
        return self._tokens[self._next]

    @property
    def lookahead(self) -> QueryToken:
        """The token after the current one."""
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def remaining(self) -> Iterator[QueryToken]:
        """Return an iterator over the current token and all later ones, without consuming them."""
        return itertools.islice(self._tokens, self._next, None)

    def advance(self) -> QueryToken:
        """Consume and return the current token."""
        token = self.token
        if token.kind != "end":
            self._next += 1
        return token

    def is_next(self, *texts: str) -> bool:
        """Return whether the current token is one of these symbols or words, ignoring case."""
        return self.token.kind in ("symbol", "name") and self.token.text.lower() in texts

    def accept(self, text: str) -> bool:
        """Consume the symbol or word if it is the current token, and return whether it was."""
        if found := self.is_next(text):
            self.advance()
        return found

    def expect(self, symbol: str) -> QueryToken:
        """Consume and return the symbol, or raise ``QueryError``."""
        if not self.is_next(symbol):
            raise self.unexpected_token_error(symbol)
        return self.advance()

    def expect_kind(self, kind: TokenKind) -> QueryToken:
        """Consume and return a token of this kind, or raise ``QueryError``."""
        if self.token.kind != kind:
            raise self.unexpected_token_error(kind.upper() if kind != "name" else "IDENTIFIER")
        return self.advance()

    def expect_string(self, check: Callable[[str], str]) -> str:
        """Consume a string and return its text, or raise ``QueryError`` with the reason that ``check`` returns."""
        token = self.expect_kind("string")
        if reason := check(token.text):
            raise self.error(reason, token)
        return token.text

    def unexpected_token_error(self, *expected: str) -> QueryError:
        """Return the exception for an unexpected current token."""
        token = self.token
        found = "end of query" if token.kind == "end" else f"{token.kind} {token.text[:32]!r}"
        expecting = f", expecting {' or '.join(expected)}" if expected else ""
        return self.error(f"syntax error: unexpected {found}{expecting}")

    def unsupported_error(self, feature: str, token: QueryToken | None = None) -> QueryError:
        """Return the exception for a feature of Loki that fnkit does not support."""
        return self.error(f"{feature} is not supported here", token)

    def error(self, message: str, token: QueryToken | None = None) -> QueryError:
        """Return an exception with the position of a token, by default the current one."""
        return _parse_error(message, self._text, (token or self.token).start)

    @contextmanager
    def parentheses(self) -> Iterator[None]:
        """Read the inside of a pair of parentheses, after the first; raise ``QueryError`` if nested too deeply."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self.error(f"nested more than {MAX_NESTING} deep")
        yield
        self.expect(")")
        self._depth -= 1

    def count_operation(self) -> None:
        """Count an operator, each of which makes the tree deeper; raise ``QueryError`` for too many."""
        self._operations += 1
        if self._operations > _MAX_OPERATIONS:
            raise self.error(f"more than {_MAX_OPERATIONS} operators")
