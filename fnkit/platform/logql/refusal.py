"""What a query is refused with: one sentence in Loki's own form, as its clients show it."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.errors import PlatformError

__all__ = ["Place", "QueryRefused", "parse_error"]


class QueryRefused(PlatformError):
    """A log query that is wrong, too large, or uses what is not supported. The message is the whole answer."""

    default_code = "query-refused"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a query: both count from 1, the column in characters."""

    line: int
    column: int


def parse_error(message: str, place: Place | None = None) -> QueryRefused:
    """Return the refusal of a query that cannot be read.

    >>> parse_error("unexpected ]", Place(1, 5)).message
    'parse error at line 1, col 5: unexpected ]'
    """
    where = f" at line {place.line}, col {place.column}:" if place else " :"
    return QueryRefused(f"parse error{where} {message}")
