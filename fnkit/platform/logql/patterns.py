"""Regular expressions in queries: the common subset of RE2 (the engine of Go and Loki) and the ``regex`` package.

Patterns and lines are untrusted. Like ``re``, ``regex`` backtracks and can take exponential time, but it supports a
timeout and releases the GIL while it matches. ``docs/decisions/logs-as-loki.md`` compares the alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fnkit.platform.logql.refusal import QueryRefused

if TYPE_CHECKING:
    import regex

__all__ = ["capture_names", "check_pattern", "groups", "search", "whole"]

_LINE_SECONDS: Final = 0.25  # for one pattern and one line; ordinary patterns take microseconds
_PATTERN_MAX: Final = 10_000  # characters
_TOKENS: Final = re.compile(
    r"""
    (?P<escape> \\[1-9]|\\[Zgk] ) | (?P<end> \\z ) | \\.
    | \[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]
    | (?P<perl> \(\?(?:[=!>&|\#(R0-9]|<[=!]|P[=>]) ) | (?P<nested> [*+?}]\+ )
    """,
    re.VERBOSE | re.DOTALL,
)
"""Syntax that RE2 and ``regex`` interpret differently, and the escapes and classes to skip while looking for it."""

_REFUSED: Final = {
    "escape": "invalid escape sequence",
    "perl": "invalid perl operator",
    "nested": "invalid nested repetition operator",
}
_WORDS: Final = re.compile(r"[^\\.+*?()|\[\]{}^$]*(?:\|[^\\.+*?()|\[\]{}^$]*)*")
_ANYTHING: Final[dict[str, Callable[[str], bool]]] = {".*": lambda _text: True, ".+": bool}


def check_pattern(pattern: str, make_error: Callable[[str], QueryRefused]) -> None:
    """Check that a pattern is valid in RE2.

    Args:
        pattern: The pattern.
        make_error: Creates the exception from a message, to add the position in the query.

    Raises:
        QueryError: The pattern is invalid.
    """
    if _words(pattern) is not None or pattern in _ANYTHING:
        return
    try:
        _compiled(pattern)
    except QueryRefused as error:
        raise make_error(error.message) from None


def search(pattern: str) -> Callable[[str], bool]:
    """Return a predicate for texts that contain a match. Literal alternatives (``a|b``) use substring search."""
    if (words := _words(pattern)) is not None:
        if len(words) == 1:
            only = words[0]
            return lambda text: only in text
        return lambda text: any(word in text for word in words)
    return _bounded(pattern, _compiled(pattern).search)


def whole(pattern: str) -> Callable[[str], bool]:
    """Return a predicate for texts that match completely. As in Prometheus, a dot also matches a line break."""
    if (words := _words(pattern)) is not None:
        return frozenset(words).__contains__
    if pattern in _ANYTHING:
        return _ANYTHING[pattern]
    return _bounded(pattern, _compiled(f"(?s:{pattern})").fullmatch)


def _words(pattern: str) -> list[str] | None:
    """Return the literal alternatives of a pattern such as ``a|b``, or ``None`` if it has other operators."""
    return pattern.split("|") if _WORDS.fullmatch(pattern) else None


def _bounded(pattern: str, match: Callable[..., regex.Match[str] | None]) -> Callable[[str], bool]:
    return lambda text: _matched(pattern, match, text) is not None


def _matched(pattern: str, match: Callable[..., regex.Match[str] | None], text: str) -> regex.Match[str] | None:
    """Match a text; raise ``QueryError`` after the timeout."""
    try:
        return match(text, timeout=_LINE_SECONDS, concurrent=True)  # concurrent: release the GIL
    except TimeoutError:
        raise QueryRefused(f"the regular expression {pattern!r} takes too long: make it simpler") from None


def _compiled(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern; raise ``QueryError`` if it is invalid in RE2."""
    import regex

    if len(pattern) > _PATTERN_MAX:
        raise QueryRefused(f"error parsing regexp: more than {_PATTERN_MAX} characters")
    try:
        return regex.compile(_TOKENS.sub(_spelled, pattern))
    except (regex.error, OverflowError, RecursionError) as error:
        raise QueryRefused(f"error parsing regexp: {error}") from None


def _spelled(token: re.Match[str]) -> str:
    """Return a token of RE2 in the syntax of ``regex``; raise ``QueryError`` if RE2 has no such syntax."""
    if token.lastgroup in _REFUSED:
        raise QueryRefused(f"error parsing regexp: {_REFUSED[token.lastgroup]}: {token.group()}")
    return r"\Z" if token.lastgroup == "end" else token.group()


def capture_names(pattern: str) -> tuple[str, ...]:
    """Return the names of the named groups of a pattern."""
    return tuple(_compiled(pattern).groupindex)


def groups(pattern: str) -> Callable[[str], dict[str, str]]:
    """Return a function that returns the named groups of the first match, or an empty dict without a match."""
    compiled = _compiled(pattern)
    names = tuple(compiled.groupindex)

    def extract(text: str) -> dict[str, str]:
        found = _matched(pattern, compiled.search, text)
        return {} if found is None else {name: found[name] or "" for name in names}

    return extract
