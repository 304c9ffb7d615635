"""Top-level modules of the standard library by Python version."""

from __future__ import annotations

import sys

__all__ = ["removed_in", "standard_library_modules"]

_REMOVED = {
    (3, 12): frozenset({"asynchat", "asyncore", "distutils", "imp", "smtpd"}),
    (3, 13): frozenset(
        {
            "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis",
            "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
        }
    ),
}  # fmt: skip
"""Removals, from "What's New in Python" 3.12 and 3.13 (PEP 594, PEP 632)."""
_ADDED = {
    (3, 9): frozenset({"graphlib", "zoneinfo"}),
    (3, 11): frozenset({"tomllib"}),
    (3, 14): frozenset({"annotationlib", "compression"}),
}


def standard_library_modules(python: tuple[int, int]) -> frozenset[str]:
    """Return the standard library's top-level modules of a Python version.

    Starts from the running interpreter's list and corrects it for modules added or removed between the two
    versions.
    """
    names = set(sys.stdlib_module_names) | {"__main__", "__future__"}
    for version, removed in _REMOVED.items():
        names = names - removed if python >= version else names | removed
    for version, added in _ADDED.items():
        names = names | added if python >= version else names - added
    return frozenset(names)


def removed_in(module: str) -> tuple[int, int] | None:
    """Return the version that removed a module from the standard library, or ``None``."""
    return next((version for version, removed in _REMOVED.items() if module in removed), None)
