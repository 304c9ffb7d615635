"""Validates handlers: their signatures, and the files of functions declared in settings."""

from __future__ import annotations

import ast
import re
import tomllib
import warnings
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.project.drafts import Draft
from fnkit.project.findings import Findings
from fnkit.scanner.report import Signature

__all__ = ["check_handler_file", "check_signature"]

_EXTENSIONS: Final = {"Node": (".js", ".mjs", ".cjs"), "PHP": (".php",), "Python": (".py",)}
_DOTTED: Final = re.compile(r"[^.\s]+\.[^./\s]+")
_GO: Final = re.compile(r"([^.\s]+/)?[A-Z]\w*", re.ASCII)
_RUST: Final = re.compile(r"([^.\s]+/)?[a-z_]\w*", re.ASCII)
_ARGUMENTS: Final = 2


def check_signature(draft: Draft, findings: Findings) -> None:
    """Check that a handler can be called as ``handler(event, context)`` and returns a response."""
    signature = draft.signature
    if signature is None:
        return
    if signature.is_async or signature.is_generator:
        kind = "an async function" if signature.is_async else "a generator"
        message = f"{draft.name}: the handler is {kind}, but the platform calls it as a plain function."
        hint = "Use def, with asyncio.run(...) inside it." if signature.is_async else "Return the response instead."
        findings.add("handler-async", message, hint, draft.source)
    if not _takes_two(signature):
        message = f"{draft.name}: the handler cannot be called with two arguments, the event and the context."
        findings.add("handler-signature", message, "Write def handler(event, context).", draft.source)


def _takes_two(signature: Signature) -> bool:
    enough = signature.positional is None or signature.positional >= _ARGUMENTS
    return enough and signature.required <= _ARGUMENTS and not signature.required_keywords


def check_handler_file(root: Path, draft: Draft, handler: str, language: str, findings: Findings) -> None:
    """Check a function declared in settings: its folder, the format of its handler, and the handler's file.

    Args:
        root: The project folder.
        function: The function.
        handler: The handler string.
        language: The runtime's language.
        problems: Receives the problems.
    """
    folder = _folder(root, draft, findings)
    if folder is None:
        return
    match language:
        case "Go" | "Rust":
            is_valid = (_GO if language == "Go" else _RUST).fullmatch(handler) is not None
            form = "an exported function's name" if language == "Go" else "a function's name"
        case _:
            is_valid = _DOTTED.fullmatch(handler) is not None
            form = "a file's path without extension, one dot, and a function's name"
    if not is_valid or ".." in PurePosixPath(handler).parts:
        message = f"{draft.name}: {handler[:80]!r} is not a valid {language} handler."
        findings.add("bad-handler", message, f"Use {form}.", draft.source)
        return
    match language:
        case "Go":
            _need(folder / PurePosixPath(handler).parent / "go.mod", root, draft, findings)
        case "Rust":
            _check_crate(folder / PurePosixPath(handler).parent, root, draft, findings)
        case _:
            _check_file(folder, root, draft, handler, language, findings)


def _folder(root: Path, draft: Draft, findings: Findings) -> Path | None:
    """Return the folder of a function, or ``None`` if it does not exist or is outside the project."""
    path = PurePosixPath(draft.root)
    if path.is_absolute() or ".." in path.parts or "\\" in draft.root or "\0" in draft.root:
        message = f"{draft.name}: the path {draft.root!r} is outside the project."
        hint = "Use a path relative to the settings file, with /."
        findings.add("bad-path", message, hint, draft.source)
        return None
    if not (root / path).is_dir():
        findings.add("handler-missing", f"{draft.name}: there is no folder {draft.root}.", None, draft.source)
        return None
    return root / path


def _need(file: Path, root: Path, draft: Draft, findings: Findings) -> bool:
    if file.is_file():
        return True
    shown = file.relative_to(root).as_posix()
    findings.add("handler-missing", f"{draft.name}: there is no file {shown}.", None, draft.source)
    return False


def _check_crate(folder: Path, root: Path, draft: Draft, findings: Findings) -> None:
    """Check that a Rust function is a library crate: ``src/lib.rs``, or the file given by ``[lib] path``."""
    manifest = folder / "Cargo.toml"
    if not _need(manifest, root, draft, findings):
        return
    try:
        library = tomllib.loads(manifest.read_text(encoding="utf-8")).get("lib", {})
    except (OSError, ValueError, RecursionError):
        message = f"{draft.name}: {manifest.relative_to(root).as_posix()} is not valid TOML."
        findings.add("bad-handler", message, None, draft.source)
        return
    path = library.get("path") if isinstance(library, dict) else None
    _need(folder / (path if isinstance(path, str) else "src/lib.rs"), root, draft, findings)


def _check_file(folder: Path, root: Path, draft: Draft, handler: str, language: str, findings: Findings) -> None:
    path, _, name = handler.rpartition(".")
    candidates = [folder / f"{path}{extension}" for extension in _EXTENSIONS[language]]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        shown = " or ".join(file.relative_to(root).as_posix() for file in candidates)
        message = f"{draft.name}: the handler {handler} refers to {shown}, which does not exist."
        hint = "Compile TypeScript before deploying." if (folder / f"{path}.ts").is_file() else None
        findings.add("handler-missing", message, hint, draft.source)
    elif language == "Python" and not _defines(found, name):
        message = f"{draft.name}: {found.relative_to(root).as_posix()} does not define {name} at its top level."
        findings.add("handler-missing", message, None, draft.source)


def _defines(file: Path, name: str) -> bool:
    """Return whether a Python file binds a name.

    Names bound at any depth count, so that a name bound inside a branch or loop is found. A file that cannot be
    parsed counts as binding every name; the scan reports it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                bound = {node.name}
            case ast.Import() | ast.ImportFrom():
                bound = {alias.asname or alias.name for alias in node.names}
            case ast.Name(id=identifier, ctx=ast.Store()):
                bound = {identifier}
            case _:
                continue
        if name in bound or "*" in bound:
            return True
    return False
