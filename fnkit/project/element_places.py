"""Finds where an element of a list stands in a TOML document."""

from __future__ import annotations

from fnkit.project.model import SourceLocation


def place_of_element(element: str, text: str, array: SourceLocation) -> SourceLocation:
    """Return the place of a string in an array; the place of the array if it is not found as written."""
    for number, line in enumerate(text.splitlines()[array.line - 1 :], array.line):
        for quoted in (f'"{element}"', f"'{element}'"):
            if quoted in line:
                column = line.index(quoted) + 1
                return SourceLocation(array.file, number, column, column + len(quoted))
    return array
