"""Regular expressions in queries: the common subset of RE2 (the engine of Go and Loki) and the ``regex`` package.

Patterns and lines are untrusted. Like ``re``, ``regex`` backtracks and can take exponential time, but it supports a
timeout and releases the GIL while it matches. ``docs/decisions/logs-as-loki.md`` compares the alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fnkit.platform.logql.lexer import QueryError

if TYPE_CHECKING:
    import regex

_MATCH_TIMEOUT: Final = 0.25  # for one pattern and one line; ordinary patterns take microseconds
_MAX_PATTERN_CHARACTERS: Final = 10_000  # characters
_RE2_TOKENS: Final = re.compile(
    r"""
    (?P<escape> \\[1-9]|\\[Zgk] ) | (?P<end> \\z ) | \\.
    | \[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]
    | (?P<perl> \(\?(?:[=!>&|\#(R0-9]|<[=!]|P[=>]) ) | (?P<nested> [*+?}]\+ )
    """,
    re.VERBOSE | re.DOTALL,
)
"""Syntax that RE2 and ``regex`` interpret differently, and the escapes and classes to skip while looking for it."""

_UNSUPPORTED_SYNTAX: Final = {
    "escape": "invalid escape sequence",
    "perl": "invalid perl operator",
    "nested": "invalid nested repetition operator",
}
_LITERAL_ALTERNATIVES: Final = re.compile(r"[^\\.+*?()|\[\]{}^$]*(?:\|[^\\.+*?()|\[\]{}^$]*)*")
_UNIVERSAL_PATTERNS: Final[dict[str, Callable[[str], bool]]] = {".*": lambda _text: True, ".+": bool}


def check_regex(pattern: str, *, needs_group: bool = False) -> str:
    """Return why a pattern is invalid in RE2, or lacks a named group that it needs; empty if it is valid."""
    if not needs_group and (_literal_alternatives(pattern) is not None or pattern in _UNIVERSAL_PATTERNS):
        return ""
    try:
        compiled = _compile(pattern)
    except QueryError as error:
        return error.message
    return "at least one named capture must be supplied" if needs_group and not compiled.groupindex else ""


def search_predicate(pattern: str) -> Callable[[str], bool]:
    """Return a predicate for texts that contain a match. Literal alternatives (``a|b``) use substring search."""
    if (words := _literal_alternatives(pattern)) is not None:
        if len(words) == 1:
            only = words[0]
            return lambda text: only in text
        return lambda text: any(word in text for word in words)
    return _match_predicate(pattern, _compile(pattern).search)


def full_match_predicate(pattern: str) -> Callable[[str], bool]:
    """Return a predicate for texts that match completely. As in Prometheus, a dot also matches a line break."""
    if (words := _literal_alternatives(pattern)) is not None:
        return frozenset(words).__contains__
    if pattern in _UNIVERSAL_PATTERNS:
        return _UNIVERSAL_PATTERNS[pattern]
    return _match_predicate(pattern, _compile(f"(?s:{pattern})").fullmatch)


def _literal_alternatives(pattern: str) -> list[str] | None:
    """Return the literal alternatives of a pattern such as ``a|b``, or ``None`` if it has other operators."""
    return pattern.split("|") if _LITERAL_ALTERNATIVES.fullmatch(pattern) else None


def _match_predicate(pattern: str, match: Callable[..., regex.Match[str] | None]) -> Callable[[str], bool]:
    return lambda text: _match_with_timeout(pattern, match, text) is not None


def _match_with_timeout(
    pattern: str, match: Callable[..., regex.Match[str] | None], text: str
) -> regex.Match[str] | None:
    """Match a text; raise ``QueryError`` after the timeout."""
    try:
        return match(text, timeout=_MATCH_TIMEOUT, concurrent=True)  # concurrent: release the GIL
    except TimeoutError:
        raise QueryError(f"the regular expression {pattern!r} takes too long: make it simpler") from None


def _compile(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern; raise ``QueryError`` if it is invalid in RE2."""
    import regex

    if len(pattern) > _MAX_PATTERN_CHARACTERS:
        raise QueryError(f"error parsing regexp: more than {_MAX_PATTERN_CHARACTERS} characters")
    try:
        return regex.compile(_RE2_TOKENS.sub(_translate_token, pattern))
    except (regex.error, OverflowError, RecursionError) as error:
        raise QueryError(f"error parsing regexp: {error}") from None


def _translate_token(token: re.Match[str]) -> str:
    """Return a token of RE2 in the syntax of ``regex``; raise ``QueryError`` if RE2 has no such syntax."""
    if token.lastgroup in _UNSUPPORTED_SYNTAX:
        raise QueryError(f"error parsing regexp: {_UNSUPPORTED_SYNTAX[token.lastgroup]}: {token.group()}")
    return r"\Z" if token.lastgroup == "end" else token.group()


def group_extractor(pattern: str) -> Callable[[str], list[tuple[str, str]]]:
    """Return a function that returns the named groups of the first match, or nothing without a match."""
    compiled = _compile(pattern)
    names = tuple(compiled.groupindex)

    def extract(text: str) -> list[tuple[str, str]]:
        found = _match_with_timeout(pattern, compiled.search, text)
        return [] if found is None else [(name, found[name] or "") for name in names]

    return extract
