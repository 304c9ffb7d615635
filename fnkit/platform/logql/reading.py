"""Sequential access to tokens, with the operations that a recursive-descent parser needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from fnkit.platform.logql.lexing import TokenKind, QueryToken, position_at, tokenize
from fnkit.platform.logql.refusal import QueryError, parse_error

__all__ = ["MAX_NESTING", "TokenReader"]

MAX_NESTING = 50
MAX_OPERATIONS = 500


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

    def is_symbol(self, *symbols: str) -> bool:
        """Return whether the current token is one of these symbols."""
        return self.token.kind == "symbol" and self.token.text in symbols

    def is_word(self, *words: str) -> bool:
        """Return whether the current token is one of these words, ignoring case."""
        return self.token.kind == "name" and self.token.text.lower() in words

    def accept(self, symbol: str) -> bool:
        """Consume the symbol if it is the current token, and return whether it was."""
        if found := self.is_symbol(symbol):
            self.advance()
        return found

    def accept_word(self, word: str) -> bool:
        """Consume the word if it is the current token, and return whether it was."""
        if found := self.is_word(word):
            self.advance()
        return found

    def expect(self, symbol: str) -> QueryToken:
        """Consume and return the symbol, or raise ``QueryError``."""
        if not self.is_symbol(symbol):
            raise self.unexpected_token_error(symbol)
        return self.advance()

    def expect_kind(self, kind: TokenKind) -> QueryToken:
        """Consume and return a token of this kind, or raise ``QueryError``."""
        if self.token.kind != kind:
            raise self.unexpected_token_error(kind.upper() if kind != "name" else "IDENTIFIER")
        return self.advance()

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
        return parse_error(message, position_at(self._text, (token or self.token).start))

    def enter_nesting(self) -> None:
        """Enter a pair of parentheses; raise ``QueryError`` if they are nested too deeply."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self.error(f"nested more than {MAX_NESTING} deep")

    def leave_nesting(self) -> None:
        """Leave a pair of parentheses."""
        self._depth -= 1

    def count_operation(self) -> None:
        """Count an operator, each of which makes the tree deeper; raise ``QueryError`` for too many."""
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            raise self.error(f"more than {MAX_OPERATIONS} operators")
