"""Going through a module's statements without going through its expressions, which are most of a tree."""

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
"""Where each kind of statement keeps the statements in it; taken from the grammar, so a new kind is known too."""


def blocks_of(statement: ast.AST) -> Iterator[ast.stmt]:
    """The statements directly in a statement's blocks: an ``if``'s branches, a function's body."""
    for name in _BLOCKS.get(type(statement), ()):
        for inner in getattr(statement, name):
            if isinstance(inner, ast.stmt):
                yield inner
            else:
                yield from blocks_of(inner)


def statements_within(statements: Iterable[ast.stmt], *, functions: bool = False) -> Iterator[ast.stmt]:
    """Every statement, and those of its blocks; those of functions and classes only when asked."""
    pending = list(statements)
    while pending:
        statement = pending.pop()
        yield statement
        if _BLOCKS.get(type(statement)) and (functions or not isinstance(statement, DEFINITIONS)):
            pending.extend(blocks_of(statement))
