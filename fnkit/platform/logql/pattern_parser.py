"""Patterns such as ``<ip> - <user> [<_>] "<method> <path>"``, whose captures are the text between literals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["check_extraction_pattern", "compile_extraction_pattern"]

_CAPTURE: Final = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")


def check_extraction_pattern(pattern: str) -> str:
    """Return the error of a pattern, or an empty string if it is valid."""
    parts = _CAPTURE.split(pattern)
    names = [name for name in parts[1::2] if name != "_"]
    if not names:
        return "at least one capture is required"
    if len(set(names)) != len(names):
        return f"duplicate capture name ({next(n for n in names if names.count(n) > 1)})"
    if "" in parts[2:-1:2]:
        return "consecutive captures are not allowed: there must be text between them"
    return ""


def compile_extraction_pattern(pattern: str) -> Callable[[str], list[tuple[str, str]]]:
    """Return a function that extracts the captures from a line, up to the first literal that the line lacks.

    >>> compile_extraction_pattern("<method> <path> <_>")("GET /a HTTP/1.1")
    [('method', 'GET'), ('path', '/a')]
    """
    first, *rest = _CAPTURE.split(pattern)
    captures = list(zip(rest[::2], rest[1::2], strict=True))

    def fields(line: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if not line or not line.startswith(first):
            return found
        position = len(first)
        for name, text in captures:
            end = line.find(text, position) if text else -1
            value = line[position:] if end < 0 else line[position:end]
            if name != "_":
                found.append((name, value))
            if end < 0:
                break
            position = end + len(text)
        return found

    return fields
