"""Parses ``by (a, b)`` and ``without (a, b)``."""

from __future__ import annotations

from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import Grouping

__all__ = ["read_grouping", "read_labels"]


def read_grouping(reader: TokenReader) -> Grouping | None:
    """Parse ``by (…)`` or ``without (…)`` if the current token starts one."""
    if not reader.at_word("by", "without"):
        return None
    without = reader.take().text.lower() == "without"
    return Grouping(read_labels(reader), without)


def read_labels(reader: TokenReader) -> tuple[str, ...]:
    """Parse a list of labels in parentheses, which may be empty."""
    reader.expect("(")
    labels: list[str] = []
    while not reader.at(")"):
        labels.append(reader.expect_kind("name").text)
        if not reader.accept(","):
            break
    reader.expect(")")
    return tuple(labels)
