"""Iteration over statements that skips expressions, which make up most of a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

__all__ = ["DEFINITIONS", "child_statements", "walk_statements"]

DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_NODE_TYPES: Final[tuple[type[ast.AST], ...]] = (*ast.stmt.__subclasses__(), ast.ExceptHandler, ast.match_case)
_BLOCK_FIELDS: Final[Mapping[type[ast.AST], tuple[str, ...]]] = {
    kind: tuple(name for name in kind._fields if name in ("body", "orelse", "finalbody", "handlers", "cases"))
    for kind in _NODE_TYPES
}
"""Names of the fields that hold nested statements, by node type.

Derived from the grammar of the running Python, so that new kinds of statements are covered.
"""


def child_statements(statement: ast.AST) -> Iterator[ast.stmt]:
    """Yield the direct child statements: the branches of an ``if``, the body of a function."""
    for name in _BLOCK_FIELDS.get(type(statement), ()):
        for inner in getattr(statement, name):
            if isinstance(inner, ast.stmt):
                yield inner
            else:
                yield from child_statements(inner)


def walk_statements(statements: Iterable[ast.stmt], *, into_definitions: bool = False) -> Iterator[ast.stmt]:
    """Yield statements and, recursively, their child statements, in no particular order.

    Args:
        statements: The statements to start from.
        into_definitions: Whether to descend into functions and classes, which are yielded in any case.
    """
    pending = list(statements)
    while pending:
        statement = pending.pop()
        yield statement
        if _BLOCK_FIELDS.get(type(statement)) and (into_definitions or not isinstance(statement, DEFINITIONS)):
            pending.extend(child_statements(statement))
