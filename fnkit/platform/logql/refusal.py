"""The exception for queries, with messages in the form of Loki, which its clients display."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.errors import PlatformError

__all__ = ["QueryPosition", "QueryError", "parse_error"]


class QueryError(PlatformError):
    """A log query is invalid, unsupported or exceeds a limit. The message is the body of the response."""

    default_code = "query-refused"


@dataclass(frozen=True, slots=True)
class QueryPosition:
    """A position in a query. Both numbers start at 1; columns are characters."""

    line: int
    column: int


def parse_error(message: str, position: QueryPosition | None = None) -> QueryError:
    """Return the exception for a query that cannot be parsed.

    >>> parse_error("unexpected ]", QueryPosition(1, 5)).message
    'parse error at line 1, col 5: unexpected ]'
    """
    where = f" at line {position.line}, col {position.column}:" if position else " :"
    return QueryError(f"parse error{where} {message}")
