"""Regular expressions of queries, in what RE2 (Go's, and so Loki's) and the ``regex`` library have in common.

Patterns come from whoever may ask, and lines from whoever may call a function. ``regex`` goes back and forth as
Python's own engine does, for ever where a pattern is hostile; but it can be stopped, and it lets other threads run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fnkit.platform.logql.refusal import QueryRefused

if TYPE_CHECKING:
    import regex

__all__ = ["capture_names", "check_pattern", "groups", "search", "whole"]

_LINE_SECONDS: Final = 0.25  # of one pattern in one text; ordinary ones take microseconds
_PATTERN_MAX: Final = 10_000  # characters
_TOKENS: Final = re.compile(
    r"""
    (?P<escape> \\[1-9]|\\[Zgk] ) | (?P<end> \\z ) | \\.
    | \[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]
    | (?P<perl> \(\?(?:[=!>&|\#(R0-9]|<[=!]|P[=>]) ) | (?P<nested> [*+?}]\+ )
    """,
    re.VERBOSE | re.DOTALL,
)
"""What RE2 reads otherwise than ``regex``, and what must be read over to find it: escapes and classes."""

_REFUSED: Final = {
    "escape": "invalid escape sequence",
    "perl": "invalid perl operator",
    "nested": "invalid nested repetition operator",
}
_WORDS: Final = re.compile(r"[^\\.+*?()|\[\]{}^$]*(?:\|[^\\.+*?()|\[\]{}^$]*)*")
_ANYTHING: Final[dict[str, Callable[[str], bool]]] = {".*": lambda _text: True, ".+": bool}


def check_pattern(pattern: str, refused: Callable[[str], QueryRefused]) -> None:
    """Refuse what is no pattern.

    Raises:
        QueryRefused: made by ``refused`` from what is wrong.
    """
    if _words(pattern) is not None or pattern in _ANYTHING:
        return
    try:
        _compiled(pattern)
    except QueryRefused as error:
        raise refused(error.message) from None


def search(pattern: str) -> Callable[[str], bool]:
    """Return whether a text has a match somewhere. Words without operators are looked for as they stand."""
    if (words := _words(pattern)) is not None:
        if len(words) == 1:
            only = words[0]
            return lambda text: only in text
        return lambda text: any(word in text for word in words)
    return _bounded(pattern, _compiled(pattern).search)


def whole(pattern: str) -> Callable[[str], bool]:
    """Return whether a text matches from end to end; here a dot also matches a line break, as Prometheus has it."""
    if (words := _words(pattern)) is not None:
        return frozenset(words).__contains__
    if pattern in _ANYTHING:
        return _ANYTHING[pattern]
    return _bounded(pattern, _compiled(f"(?s:{pattern})").fullmatch)


def _words(pattern: str) -> list[str] | None:
    """Return the texts that a pattern means literally, ``a|b``; ``None`` where there is more to it."""
    return pattern.split("|") if _WORDS.fullmatch(pattern) else None


def _bounded(pattern: str, match: Callable[..., regex.Match[str] | None]) -> Callable[[str], bool]:
    return lambda text: _matched(pattern, match, text) is not None


def _matched(pattern: str, match: Callable[..., regex.Match[str] | None], text: str) -> regex.Match[str] | None:
    """Match one text; ``QueryRefused`` where that takes too long."""
    try:
        return match(text, timeout=_LINE_SECONDS, concurrent=True)
    except TimeoutError:
        raise QueryRefused(f"the regular expression {pattern!r} takes too long: make it simpler") from None


def _compiled(pattern: str) -> regex.Pattern[str]:
    """Compile; ``QueryRefused`` says what is wrong with the pattern."""
    import regex

    if len(pattern) > _PATTERN_MAX:
        raise QueryRefused(f"error parsing regexp: more than {_PATTERN_MAX} characters")
    try:
        return regex.compile(_TOKENS.sub(_spelled, pattern))
    except (regex.error, OverflowError, RecursionError) as error:
        raise QueryRefused(f"error parsing regexp: {error}") from None


def _spelled(token: re.Match[str]) -> str:
    """Return a piece of a pattern as ``regex`` spells it; ``QueryRefused`` where RE2 has no such thing."""
    if token.lastgroup in _REFUSED:
        raise QueryRefused(f"error parsing regexp: {_REFUSED[token.lastgroup]}: {token.group()}")
    return r"\Z" if token.lastgroup == "end" else token.group()


def capture_names(pattern: str) -> tuple[str, ...]:
    """Return the names of a pattern's groups."""
    return tuple(_compiled(pattern).groupindex)


def groups(pattern: str) -> Callable[[str], dict[str, str]]:
    """Return what the named groups of the first match hold; nothing where there is no match."""
    compiled = _compiled(pattern)
    names = tuple(compiled.groupindex)

    def take(text: str) -> dict[str, str]:
        found = _matched(pattern, compiled.search, text)
        return {} if found is None else {name: found[name] or "" for name in names}

    return take
