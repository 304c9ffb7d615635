"""Reads the signature and summary of a handler from its ``def`` statement."""

from __future__ import annotations

import ast
from typing import TypeAlias

from fnkit.scanner.report import Signature
from fnkit.scanner.statements import walk_statements

__all__ = ["FunctionNode", "signature_of", "summary_of"]

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def signature_of(function: FunctionNode) -> Signature:
    """Return the signature of a function."""
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return Signature(
        required_positionals=positional - len(arguments.defaults),
        max_positionals=None if arguments.vararg else positional,
        required_keywords=tuple(name.arg for name, default in keywords if default is None),
        is_async=isinstance(function, ast.AsyncFunctionDef),
        is_generator=_is_generator(function),
    )


def summary_of(function: FunctionNode) -> str:
    """Return the first line of the docstring, or ``""``."""
    docstring = ast.get_docstring(function)
    lines = docstring.strip().splitlines() if docstring else []
    return lines[0].strip() if lines else ""


def _is_generator(function: FunctionNode) -> bool:
    for statement in walk_statements(function.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        pending: list[ast.AST] = [statement]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.Yield | ast.YieldFrom):
                return True
            # Only expressions: walk_statements already visits nested statements. A yield in a lambda makes the
            # lambda a generator, not this function.
            pending.extend(
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.expr | ast.withitem) and not isinstance(child, ast.Lambda)
            )
    return False
