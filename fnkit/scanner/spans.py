"""Places in source text: lines and columns as editors count them, from the offsets of syntax trees."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a file.

    Attributes:
        line: Line, counted from 1.
        column: First character in the line, counted from 1; ``None`` if it is unknown or must not be shown.
        end_column: The character after the last one; ``None`` for the end of the line.
    """

    line: int
    column: int | None = None
    end_column: int | None = None


@dataclass(slots=True)
class SourceLines:
    """The lines of a source file, which turn the byte offsets of its syntax tree into columns."""

    source: bytes
    _lines: list[bytes] = field(default_factory=list)

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> Span:
        """Return the place of a node; one of several lines ends at the end of its first line."""
        ends_here = node.end_lineno == node.lineno and node.end_col_offset is not None
        end = self._column(node.lineno, node.end_col_offset or 0) if ends_here else None
        return Span(node.lineno, self._column(node.lineno, node.col_offset), end)

    def name_span(self, definition: ast.FunctionDef | ast.AsyncFunctionDef) -> Span:
        """Return the place of the name in a ``def``."""
        line = self._text(definition.lineno)
        pattern = rb"def\s+(" + re.escape(definition.name.encode()) + rb")\b"
        found = re.search(pattern, line[definition.col_offset :])
        if found is None:
            return Span(definition.lineno)
        start, end = (definition.col_offset + offset for offset in found.span(1))
        return Span(definition.lineno, self._column(definition.lineno, start), self._column(definition.lineno, end))

    def _column(self, line: int, offset: int) -> int | None:
        """Return the column of a byte offset; ``None`` if the file is not UTF-8, as the offsets are."""
        try:
            return len(self._text(line)[:offset].decode("utf-8")) + 1
        except UnicodeDecodeError:
            return None

    def _text(self, line: int) -> bytes:
        if not self._lines:
            self._lines = _LINE_END.split(self.source.removeprefix(_BOM))
        return self._lines[line - 1] if line <= len(self._lines) else b""
