"""Sequential access to tokens, with the operations that a recursive-descent parser needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from fnkit.platform.logql.lexing import Kind, Token, place_in, read_tokens
from fnkit.platform.logql.refusal import QueryRefused, parse_error

__all__ = ["NESTING_MAX", "TokenReader"]

NESTING_MAX = 50
OPERATIONS_MAX = 500


class TokenReader:
    """Reads the tokens of a query in order; it never goes back.

    It also limits nesting and the number of operators: the tree is evaluated recursively, so a hostile query could
    otherwise exhaust the stack.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = read_tokens(text)
        self._next = 0
        self._depth = 0
        self._operations = 0

    @property
    def token(self) -> Token:
        """The current token, which is not consumed yet; the last one has the kind ``end``."""
        return self._tokens[self._next]

    @property
    def following(self) -> Token:
        """The token after the current one."""
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def rest(self) -> Iterator[Token]:
        """Return an iterator over the current token and all later ones, without consuming them."""
        return itertools.islice(self._tokens, self._next, None)

    def take(self) -> Token:
        """Consume and return the current token."""
        token = self.token
        if token.kind != "end":
            self._next += 1
        return token

    def at(self, *symbols: str) -> bool:
        """Return whether the current token is one of these symbols."""
        return self.token.kind == "symbol" and self.token.text in symbols

    def at_word(self, *words: str) -> bool:
        """Return whether the current token is one of these words, ignoring case."""
        return self.token.kind == "name" and self.token.text.lower() in words

    def accept(self, symbol: str) -> bool:
        """Consume the symbol if it is the current token, and return whether it was."""
        if found := self.at(symbol):
            self.take()
        return found

    def accept_word(self, word: str) -> bool:
        """Consume the word if it is the current token, and return whether it was."""
        if found := self.at_word(word):
            self.take()
        return found

    def expect(self, symbol: str) -> Token:
        """Consume and return the symbol, or raise ``QueryError``."""
        if not self.at(symbol):
            raise self.unexpected(symbol)
        return self.take()

    def expect_kind(self, kind: Kind) -> Token:
        """Consume and return a token of this kind, or raise ``QueryError``."""
        if self.token.kind != kind:
            raise self.unexpected(kind.upper() if kind != "name" else "IDENTIFIER")
        return self.take()

    def unexpected(self, *expected: str) -> QueryRefused:
        """Return the exception for an unexpected current token."""
        token = self.token
        found = "end of query" if token.kind == "end" else f"{token.kind} {token.text[:32]!r}"
        expecting = f", expecting {' or '.join(expected)}" if expected else ""
        return self.refused(f"syntax error: unexpected {found}{expecting}")

    def unsupported(self, what: str, token: Token | None = None) -> QueryRefused:
        """Return the exception for a feature of Loki that fnkit does not support."""
        return self.refused(f"{what} is not supported here", token)

    def refused(self, message: str, token: Token | None = None) -> QueryRefused:
        """Return an exception with the position of a token, by default the current one."""
        return parse_error(message, place_in(self._text, (token or self.token).start))

    def enter(self) -> None:
        """Enter a pair of parentheses; raise ``QueryError`` if they are nested too deeply."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise self.refused(f"nested more than {NESTING_MAX} deep")

    def leave(self) -> None:
        """Leave a pair of parentheses."""
        self._depth -= 1

    def count_operation(self) -> None:
        """Count an operator, each of which makes the tree deeper; raise ``QueryError`` for too many."""
        self._operations += 1
        if self._operations > OPERATIONS_MAX:
            raise self.refused(f"more than {OPERATIONS_MAX} operators")
