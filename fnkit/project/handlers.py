"""Whether a handler can be called as the platform calls it, and whether its file is there at all."""

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
    """Check that ``handler(event, context)`` works and gives an answer (functions-contract §1.6)."""
    signature = draft.signature
    if signature is None:
        return
    if signature.is_async or signature.is_generator:
        kind = "an async function" if signature.is_async else "a generator"
        message = f"{draft.name}: the handler is {kind}, and the platform calls it as a plain function."
        hint = "Write def, and asyncio.run(...) inside where it must wait." if signature.is_async else "Return it."
        findings.add("handler-async", message, hint, draft.source)
    if not _takes_two(signature):
        message = f"{draft.name}: the handler cannot be called with two arguments, the event and the context."
        findings.add("handler-signature", message, "Write def handler(event, context).", draft.source)


def _takes_two(signature: Signature) -> bool:
    enough = signature.positional is None or signature.positional >= _ARGUMENTS
    return enough and signature.required <= _ARGUMENTS and not signature.required_keywords


def check_handler_file(root: Path, draft: Draft, handler: str, language: str, findings: Findings) -> None:
    """Check a function of the settings: its folder, its handler's form, and the file that the handler names."""
    folder = _folder(root, draft, findings)
    if folder is None:
        return
    match language:
        case "Go" | "Rust":
            fine = (_GO if language == "Go" else _RUST).fullmatch(handler) is not None
            form = "an exported function's name" if language == "Go" else "a function's name"
        case _:
            fine = _DOTTED.fullmatch(handler) is not None
            form = "a file's path without extension, one dot, and a function's name"
    if not fine or ".." in PurePosixPath(handler).parts:
        message = f"{draft.name}: {handler[:80]!r} cannot be a {language} handler."
        findings.add("bad-handler", message, f"It is {form}.", draft.source)
        return
    match language:
        case "Go":
            _need(folder / PurePosixPath(handler).parent / "go.mod", root, draft, findings)
        case "Rust":
            _check_crate(folder / PurePosixPath(handler).parent, root, draft, findings)
        case _:
            _check_file(folder, root, draft, handler, language, findings)


def _folder(root: Path, draft: Draft, findings: Findings) -> Path | None:
    """The function's folder, which lies inside the project."""
    path = PurePosixPath(draft.root)
    if path.is_absolute() or ".." in path.parts or "\\" in draft.root or "\0" in draft.root:
        message = f"{draft.name}: the path {draft.root!r} leads out of the project."
        hint = "Write it relative to the settings, with /."
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
    """A Rust function is a library crate: ``src/lib.rs``, or the file that ``[lib] path`` names."""
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
        message = f"{draft.name}: the handler {handler} names {shown}, which is not there."
        hint = "Compile TypeScript before deploying." if (folder / f"{path}.ts").is_file() else None
        findings.add("handler-missing", message, hint, draft.source)
    elif language == "Python" and not _defines(found, name):
        message = f"{draft.name}: {found.relative_to(root).as_posix()} has nothing called {name} at its top level."
        findings.add("handler-missing", message, None, draft.source)


def _defines(file: Path, name: str) -> bool:
    """Whether a Python file binds a name at its top level; a file that cannot be parsed is told elsewhere."""
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
