"""Checks handlers of Python: their signatures, and the names that a file binds."""

from __future__ import annotations

import ast
import symtable
import warnings
from collections.abc import Iterator
from importlib.util import decode_source
from pathlib import Path
from typing import Final

from fnkit.project.languages.handler import DeclaredHandler
from fnkit.project.problems import Subject
from fnkit.scanner.report import Signature

_SUFFIXES: Final = (".py",)
_ARGUMENT_COUNT: Final = 2


def check_signature(signature: Signature | None, subject: Subject) -> None:
    """Check that a handler can be called as ``handler(event, context)`` and returns a response."""
    if signature is None:
        return
    if signature.is_async or signature.is_generator:
        kind = "an async function" if signature.is_async else "a generator"
        message = f"{subject}: the handler is {kind}, but the platform calls it as a plain function."
        hint = "Use def, with asyncio.run(...) inside it." if signature.is_async else "Return the response instead."
        subject.add("handler-async", message, hint)
    if not _accepts_event_and_context(signature):
        message = f"{subject}: the handler cannot be called with two arguments, the event and the context."
        subject.add("handler-signature", message, "Write def handler(event, context).")


def _accepts_event_and_context(signature: Signature) -> bool:
    enough = signature.max_positionals is None or signature.max_positionals >= _ARGUMENT_COUNT
    return enough and signature.required_positionals <= _ARGUMENT_COUNT and not signature.required_keywords


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
