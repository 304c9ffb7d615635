"""Tokens, one after the other, with what a grammar asks of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from fnkit.platform.logql.lexing import Kind, Token, place_in, read_tokens
from fnkit.platform.logql.refusal import QueryRefused, parse_error

__all__ = ["NESTING_MAX", "TokenReader"]

NESTING_MAX = 50
OPERATIONS_MAX = 500


class TokenReader:
    """Reads a query's tokens. Nothing here goes back."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = read_tokens(text)
        self._next = 0
        self._depth = 0
        self._operations = 0

    @property
    def token(self) -> Token:
        """The token to come; the last one is ``end``."""
        return self._tokens[self._next]

    @property
    def following(self) -> Token:
        """The token behind it."""
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def rest(self) -> Iterator[Token]:
        """The tokens to come."""
        return itertools.islice(self._tokens, self._next, None)

    def take(self) -> Token:
        """Read one token."""
        token = self.token
        if token.kind != "end":
            self._next += 1
        return token

    def at(self, *symbols: str) -> bool:
        """Whether one of these symbols comes."""
        return self.token.kind == "symbol" and self.token.text in symbols

    def at_word(self, *words: str) -> bool:
        """Whether one of these words comes; case does not count."""
        return self.token.kind == "name" and self.token.text.lower() in words

    def accept(self, symbol: str) -> bool:
        """Read this symbol if it comes."""
        if found := self.at(symbol):
            self.take()
        return found

    def accept_word(self, word: str) -> bool:
        """Read this word if it comes."""
        if found := self.at_word(word):
            self.take()
        return found

    def expect(self, symbol: str) -> Token:
        """Read this symbol, or refuse."""
        if not self.at(symbol):
            raise self.unexpected(symbol)
        return self.take()

    def expect_kind(self, kind: Kind) -> Token:
        """Read a token of this kind, or refuse."""
        if self.token.kind != kind:
            raise self.unexpected(kind.upper() if kind != "name" else "IDENTIFIER")
        return self.take()

    def unexpected(self, *expected: str) -> QueryRefused:
        """Return the refusal of the token to come."""
        token = self.token
        found = "end of query" if token.kind == "end" else f"{token.kind} {token.text[:32]!r}"
        wanted = f", expecting {' or '.join(expected)}" if expected else ""
        return self.refused(f"syntax error: unexpected {found}{wanted}")

    def unsupported(self, what: str, token: Token | None = None) -> QueryRefused:
        """Return the refusal of something that Loki has and this platform has not."""
        return self.refused(f"{what} is not supported here", token)

    def refused(self, message: str, token: Token | None = None) -> QueryRefused:
        """Return a refusal that points at a token, by default the one to come."""
        return parse_error(message, place_in(self._text, (token or self.token).start))

    def enter(self) -> None:
        """Go one bracket deeper."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise self.refused(f"nested more than {NESTING_MAX} deep")

    def leave(self) -> None:
        """Come back out of a bracket."""
        self._depth -= 1

    def count_operation(self) -> None:
        """Count an operator; each makes the tree one deeper."""
        self._operations += 1
        if self._operations > OPERATIONS_MAX:
            raise self.refused(f"more than {OPERATIONS_MAX} operators")
