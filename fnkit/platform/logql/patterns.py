"""Regular expressions in RE2's syntax, which is Go's and so Loki's, in linear time whatever they say.

Python's own engine takes exponential time for some patterns and cannot be stopped; here patterns come from
whoever may ask, and lines from whoever may call a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fnkit.platform.logql.refusal import QueryRefused

if TYPE_CHECKING:
    import re2

__all__ = ["capture_names", "check_pattern", "groups", "search", "whole"]

_MEMORY: Final = 8 * 1024 * 1024  # of one compiled pattern
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
    found = _compiled(pattern).search
    return lambda text: found(text.encode("utf-8", "replace")) is not None


def whole(pattern: str) -> Callable[[str], bool]:
    """Return whether a text matches from end to end; here a dot also matches a line break, as Prometheus has it."""
    if (words := _words(pattern)) is not None:
        return frozenset(words).__contains__
    if pattern in _ANYTHING:
        return _ANYTHING[pattern]
    found = _compiled(f"(?s:{pattern})").fullmatch
    return lambda text: found(text.encode("utf-8", "replace")) is not None


def _words(pattern: str) -> list[str] | None:
    """Return the texts that a pattern means literally, ``a|b``; ``None`` where there is more to it."""
    return pattern.split("|") if _WORDS.fullmatch(pattern) else None


def _compiled(pattern: str) -> re2._Regexp[bytes]:
    """Compile; ``QueryRefused`` says what is wrong with the pattern, or that there is no engine for it."""
    try:
        import re2
    except ImportError:
        raise QueryRefused(
            "this regular expression needs google-re2, which is not installed: pip install google-re2"
        ) from None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern.encode("utf-8", "replace"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise QueryRefused(f"error parsing regexp: {text}") from None


def capture_names(pattern: str) -> tuple[str, ...]:
    """Return the names of a pattern's groups."""
    return tuple(_names(_compiled(pattern)))


def groups(pattern: str) -> Callable[[str], dict[str, str]]:
    """Return what the named groups of the first match hold; nothing where there is no match."""
    compiled = _compiled(pattern)
    names = _names(compiled)

    def take(text: str) -> dict[str, str]:
        found = compiled.search(text.encode("utf-8", "replace"))
        if found is None:
            return {}
        return {name: (found[group] or b"").decode("utf-8", "replace") for name, group in names.items()}

    return take


def _names(compiled: re2._Regexp[bytes]) -> dict[str, int]:
    """Return the groups' numbers by their names, which a pattern of bytes has in bytes."""
    return {
        name.decode() if isinstance(name, bytes) else name: group for name, group in compiled.groupindex.items()
    }
