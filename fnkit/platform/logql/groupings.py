"""Parses ``by (a, b)`` and ``without (a, b)``."""

from __future__ import annotations

from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import Grouping

__all__ = ["read_grouping", "read_label_names"]


def read_grouping(reader: TokenReader) -> Grouping | None:
    """Parse ``by (…)`` or ``without (…)`` if the current token starts one."""
    if not reader.is_word("by", "without"):
        return None
    without = reader.advance().text.lower() == "without"
    return Grouping(read_label_names(reader), without)


def read_label_names(reader: TokenReader) -> tuple[str, ...]:
    """Parse a list of labels in parentheses, which may be empty."""
    reader.expect("(")
    labels: list[str] = []
    while not reader.is_symbol(")"):
        labels.append(reader.expect_kind("name").text)
        if not reader.accept(","):
            break
    reader.expect(")")
    return tuple(labels)
