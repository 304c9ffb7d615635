"""Checks handlers of Python: their signatures, and the names that a file binds."""

from __future__ import annotations

import ast
import symtable
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import decode_source
from pathlib import Path
from typing import Final

from fnkit.authoring.calling import CallKind, HandlerParameter, call_kind, is_event_name
from fnkit.project.languages.handler import DeclaredHandler
from fnkit.project.model import EntryModule
from fnkit.project.problems import Subject
from fnkit.scanner.report import Signature

_SUFFIXES: Final = (".py",)
_KINDS: Final[Mapping[CallKind, str | None]] = {
    "plain": None,
    "async": "an asynchronous handler",
    "typed": "a typed handler",
    "application": "an application",
}
"""What handlers are in words; ``None`` for those that need no entry module."""


def find_entry(handler: str, signature: Signature | None, subject: Subject) -> EntryModule | None:
    """Return the entry module that a decorated handler needs, and check its signature.

    Args:
        handler: The handler string of the user's function.
        signature: Its signature; ``None`` if a decorator of somebody else may have changed it.
        subject: The function, which receives problems.
    """
    if signature is None:
        return None
    if signature.is_generator:
        message = f"{subject}: the handler is a generator, but the platform calls it as a plain function."
        subject.add("handler-generator", message, "Return the response instead.")
        return None
    kind = call_kind(signature.parameters, is_async=signature.is_async)
    if kind == "typed":
        _check_parameters(signature.parameters, subject)
    words = _KINDS[kind]
    return None if words is None else EntryModule(handler, words)


def find_application_entry(handler: str) -> EntryModule:
    """Return the entry module of an object that was marked by a call."""
    return EntryModule(handler, "an application")


def _check_parameters(parameters: Iterable[HandlerParameter], subject: Subject) -> None:
    """Check that each parameter of a typed handler says what it is, without resolving its type."""
    for one in parameters:
        if one.kind in ("*", "**"):
            message = f"{subject}: no part of a request is {one.kind}{one.name}."
            subject.add("handler-signature", message, "Write def handler(event, context), or typed parameters.")
        elif one.hint is None and not is_event_name(one.name):
            message = f"{subject}: the parameter {one.name} has no type, so it is no part of a request."
            hint = f"Write its type, as in {one.name}: str, or def handler(event, context)."
            subject.add("handler-signature", message, hint)


def check_handler(handler: DeclaredHandler) -> tuple[str, ...]:
    """Check that the file of a handler without a decorator exists and binds its name. Returns no notes."""
    path, _, name = handler.name.rpartition(".")
    if handler.is_built(path):
        return ()
    file = handler.find_file(path, _SUFFIXES)
    if file is None:
        handler.add_missing_file(path, _SUFFIXES)
    elif not _binds_name(file, name):
        handler.add_missing(f"{handler.shown(file)} does not define {name} at its top level")
    return ()


def _binds_name(file: Path, name: str) -> bool:
    """Return whether a Python file binds a name in the module's scope, a branch or loop included.

    A file that imports all names of another module, or that cannot be parsed, counts as binding every name. The
    scan reports the latter.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(decode_source(file.read_bytes()))
            _rename_comprehension_variables(tree)
            module = symtable.symtable(ast.unparse(tree), file.name, "exec")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    if any(alias.name == "*" for statement in imports for alias in statement.names):
        return True
    symbols = {symbol.get_name(): symbol for symbol in module.get_symbols()}
    if name in symbols and (symbols[name].is_assigned() or symbols[name].is_imported()):
        return True
    inner_symbols = [scope.lookup(name) for scope in _inner_scopes(module) if name in scope.get_identifiers()]
    return any(symbol.is_declared_global() and symbol.is_assigned() for symbol in inner_symbols)


def _rename_comprehension_variables(tree: ast.AST) -> None:
    """Rename the variables of comprehensions.

    Since Python 3.12 (PEP 709), symtable reports them as names of the scope that contains the comprehension.
    """
    for comprehension in (node for node in ast.walk(tree) if isinstance(node, ast.comprehension)):
        for node in ast.walk(comprehension.target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                node.id = "__comprehension_variable"


def _inner_scopes(scope: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """Yield the scopes of all functions and classes inside a scope."""
    pending = list(scope.get_children())
    while pending:
        inner = pending.pop()
        yield inner
        pending.extend(inner.get_children())
