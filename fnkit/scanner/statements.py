"""Iteration over statements that skips expressions, which make up most of a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

__all__ = ["DEFINITIONS", "blocks_of", "statements_within"]

DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_KINDS: Final[tuple[type[ast.AST], ...]] = (*ast.stmt.__subclasses__(), ast.ExceptHandler, ast.match_case)
_BLOCKS: Final[Mapping[type[ast.AST], tuple[str, ...]]] = {
    kind: tuple(name for name in kind._fields if name in ("body", "orelse", "finalbody", "handlers", "cases"))
    for kind in _KINDS
}
"""Names of the fields that hold nested statements, by node type.

Derived from the grammar of the running Python, so that new kinds of statements are covered.
"""


def blocks_of(statement: ast.AST) -> Iterator[ast.stmt]:
    """Yield the direct child statements: the branches of an ``if``, the body of a function."""
    for name in _BLOCKS.get(type(statement), ()):
        for inner in getattr(statement, name):
            if isinstance(inner, ast.stmt):
                yield inner
            else:
                yield from blocks_of(inner)


def statements_within(statements: Iterable[ast.stmt], *, functions: bool = False) -> Iterator[ast.stmt]:
    """Yield statements and, recursively, their child statements, in no particular order.

    Args:
        statements: The statements to start from.
        into_definitions: Whether to descend into functions and classes, which are yielded in any case.
    """
    pending = list(statements)
    while pending:
        statement = pending.pop()
        yield statement
        if _BLOCKS.get(type(statement)) and (functions or not isinstance(statement, DEFINITIONS)):
            pending.extend(blocks_of(statement))
