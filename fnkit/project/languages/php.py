"""Checks handlers of PHP: the file exists, and its text can define the function in the global namespace."""

from __future__ import annotations

import re
from typing import Final

from fnkit.project.languages.handler import DeclaredHandler

_SUFFIXES: Final = (".php",)
_INCLUDES: Final = re.compile(r"\b(?:require|include)(?:_once)?\b|\beval\s*\(", re.IGNORECASE)
"""Ways to define functions that the file does not contain."""
_NAMESPACE: Final = re.compile(r"^[ \t]*(?:<\?php\s+)?namespace\s+[\w\\]+\s*[;{]", re.IGNORECASE | re.MULTILINE)
_GLOBAL_NAMESPACE: Final = re.compile(r"\bnamespace\s*\{", re.IGNORECASE)


def check_handler(handler: DeclaredHandler) -> tuple[str, ...]:
    """Check that the file of a PHP handler exists and may define the function. Returns no notes."""
    path, _, name = handler.name.rpartition(".")
    if handler.is_built(path):
        return ()
    file = handler.find_file(path, _SUFFIXES)
    if file is None:
        handler.add_missing_file(path, _SUFFIXES)
        return ()
    text = handler.read(file)
    if text is None or _INCLUDES.search(text):
        return ()
    if not _defines(text, name):
        hint = f"Write function {name}($event, $context), outside of a class."
        handler.add_missing(f"{handler.shown(file)} does not define the function {name}", hint)
    elif _NAMESPACE.search(text) and not _GLOBAL_NAMESPACE.search(text):
        message = f"{handler.shown(file)} defines {name} in a namespace, but the platform calls a global function"
        handler.add_missing(message, "Remove the namespace of this file; it can use classes of others.")
    return ()


def _defines(text: str, name: str) -> bool:
    """Return whether a file has a function of that name; the names of functions ignore case."""
    return re.search(rf"\bfunction\s+&?\s*{re.escape(name)}\s*\(", text, re.IGNORECASE) is not None
