"""Validates handlers: their signatures, and the files of functions declared in settings."""

from __future__ import annotations

import ast
import re
import symtable
import tomllib
import warnings
from collections.abc import Iterator
from importlib.util import decode_source
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.project.problems import Subject
from fnkit.scanner.report import Signature

_EXTENSIONS_BY_LANGUAGE: Final = {"Node": (".js", ".mjs", ".cjs"), "PHP": (".php",), "Python": (".py",)}
_PATH_AND_FUNCTION: Final = (
    re.compile(r"[^.\s]+\.[^./\s]+"),
    "a file's path without extension, one dot, and a function's name",
)
_HANDLER_FORMS: Final = {
    "Go": (re.compile(r"([^.\s]+/)?[A-Z]\w*", re.ASCII), "an exported function's name"),
    "Rust": (re.compile(r"([^.\s]+/)?[a-z_]\w*", re.ASCII), "a function's name"),
}
"""The form of a handler, and its description; ``_PATH_AND_FUNCTION`` for all other languages."""
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


def check_handler_file(root: Path, code_path: str, handler: str, language: str, subject: Subject) -> None:
    """Check a function declared in settings: its folder, the format of its handler, and the handler's file.

    Args:
        root: The project folder.
        code_path: The folder of the function's code, relative to the project.
        handler: The handler string.
        language: The runtime's language.
        subject: The function.
    """
    folder = _code_folder(root, code_path, subject)
    if folder is None:
        return
    pattern, form = _HANDLER_FORMS.get(language, _PATH_AND_FUNCTION)
    if not pattern.fullmatch(handler) or ".." in PurePosixPath(handler).parts:
        message = f"{subject}: {handler[:80]!r} is not a valid {language} handler."
        subject.add("bad-handler", message, f"Use {form}.")
        return
    match language:
        case "Go":
            _check_exists(folder / PurePosixPath(handler).parent / "go.mod", root, subject)
        case "Rust":
            _check_crate(folder / PurePosixPath(handler).parent, root, subject)
        case _:
            _check_file(folder, root, handler, language, subject)


def _code_folder(root: Path, code_path: str, subject: Subject) -> Path | None:
    """Return the folder of a function, or ``None`` if it does not exist or is outside the project."""
    path = PurePosixPath(code_path)
    if path.is_absolute() or ".." in path.parts or "\\" in code_path or "\0" in code_path:
        message = f"{subject}: the path {code_path!r} is outside the project."
        hint = "Use a path relative to the settings file, with /."
        subject.add("bad-path", message, hint)
        return None
    if not (root / path).is_dir():
        subject.add("handler-missing", f"{subject}: there is no folder {code_path}.")
        return None
    return root / path


def _check_exists(file: Path, root: Path, subject: Subject) -> bool:
    if file.is_file():
        return True
    shown = file.relative_to(root).as_posix()
    subject.add("handler-missing", f"{subject}: there is no file {shown}.")
    return False


def _check_crate(folder: Path, root: Path, subject: Subject) -> None:
    """Check that a Rust function is a library crate: ``src/lib.rs``, or the file given by ``[lib] path``."""
    manifest = folder / "Cargo.toml"
    if not _check_exists(manifest, root, subject):
        return
    try:
        library = tomllib.loads(manifest.read_text(encoding="utf-8")).get("lib", {})
    except (OSError, ValueError, RecursionError):
        message = f"{subject}: {manifest.relative_to(root).as_posix()} is not valid TOML."
        subject.add("bad-handler", message)
        return
    path = library.get("path") if isinstance(library, dict) else None
    _check_exists(folder / (path if isinstance(path, str) else "src/lib.rs"), root, subject)


def _check_file(folder: Path, root: Path, handler: str, language: str, subject: Subject) -> None:
    path, _, name = handler.rpartition(".")
    candidates = [folder / f"{path}{extension}" for extension in _EXTENSIONS_BY_LANGUAGE[language]]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        shown = " or ".join(file.relative_to(root).as_posix() for file in candidates)
        message = f"{subject}: the handler {handler} refers to {shown}, which does not exist."
        hint = "Compile TypeScript before deploying." if (folder / f"{path}.ts").is_file() else None
        subject.add("handler-missing", message, hint)
    elif language == "Python" and not _binds_name(found, name):
        message = f"{subject}: {found.relative_to(root).as_posix()} does not define {name} at its top level."
        subject.add("handler-missing", message)


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
