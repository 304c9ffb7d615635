"""Reads what calling a function takes, and what its docstring says, from its definition."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeAlias

from fnkit.authoring.calling import HandlerParameter, annotation_name
from fnkit.scanner.names import nodes_outside_definitions
from fnkit.scanner.report import Signature

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def read_signature(function: FunctionNode) -> Signature:
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
        parameters=tuple(_parameters_of(arguments)),
    )


def _parameters_of(arguments: ast.arguments) -> Iterator[HandlerParameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    for index, one in enumerate(positional):
        yield HandlerParameter(one.arg, _hint_name(one.annotation), "positional", index < required)
    if arguments.vararg is not None:
        yield HandlerParameter(
            arguments.vararg.arg, _hint_name(arguments.vararg.annotation), "*", is_required=False
        )
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield HandlerParameter(one.arg, _hint_name(one.annotation), "keyword", default is None)
    if arguments.kwarg is not None:
        yield HandlerParameter(arguments.kwarg.arg, _hint_name(arguments.kwarg.annotation), "**", is_required=False)


def _hint_name(annotation: ast.expr | None) -> str | None:
    return None if annotation is None else annotation_name(annotation)


def read_summary(function: FunctionNode) -> str:
    """Return the first line of the docstring, or ``""``."""
    docstring = ast.get_docstring(function)
    lines = docstring.strip().splitlines() if docstring else []
    return lines[0].strip() if lines else ""


def _is_generator(function: FunctionNode) -> bool:
    # A yield in a lambda makes the lambda a generator, not this function.
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes_outside_definitions(function))
