"""Checks handlers of Rust: a crate with a library that exports the function, or a program."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.project.languages.handler import DeclaredHandler, clauses, main_package_note

_IDENTIFIER: Final = re.compile(r"[a-z_]\w*", re.ASCII)
_REFUSED: Final = "pub async fn in the library of the crate"
_COMPUTED: Final = re.compile(r"\binclude!|^(?:\w+::)*\w+!\s*[({\[]", re.MULTILINE)
"""Macros that may declare functions."""
_REEXPORT: Final = re.compile(r"\bpub\s+use\b")


def check_handler(handler: DeclaredHandler) -> tuple[str, ...]:
    """Check a handler of Rust, ``name``, ``folder/name``, or ``.`` or a folder for a program.

    Returns:
        A note about a program.
    """
    path = PurePosixPath(handler.name)
    is_folder = handler.name == "." or (handler.folder / path / "Cargo.toml").is_file()
    crate = handler.folder / (path if is_folder else path.parent)
    if not handler.require_file(crate / "Cargo.toml"):
        return ()
    manifest = _read_manifest(handler, crate / "Cargo.toml")
    if manifest is None:
        return ()
    library = _table(manifest, "lib").get("path")
    source = crate / (library if isinstance(library, str) else "src/lib.rs")
    program = _program_of(crate, manifest)
    if program is not None and (is_folder or not source.is_file()):
        return (main_package_note(handler.subject, "Rust", _REFUSED),)
    if is_folder:
        hint = "Name a function of the library, as in handle or folder/handle."
        handler.add_missing(f"{handler.shown(crate)} contains no program, such as src/main.rs", hint)
    elif handler.require_file(source) and source.is_file() and handler.build_output is None:
        _check_function(handler, source, path.name)
    return ()


def _read_manifest(handler: DeclaredHandler, file: Path) -> Mapping[str, object] | None:
    text = handler.read(file)
    try:
        return tomllib.loads(text) if text is not None else {}
    except (ValueError, RecursionError):
        subject = handler.subject
        subject.add("bad-handler", f"{subject}: {handler.shown(file)} is not valid TOML.")
        return None


def _table(manifest: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = manifest.get(key)
    return value if isinstance(value, dict) else {}


def _program_of(crate: Path, manifest: Mapping[str, object]) -> Path | None:
    """Return the source of the crate's only or main program, or ``None``."""
    if (crate / "src/main.rs").is_file():
        return crate / "src/main.rs"
    declared = manifest.get("bin")
    for one in declared if isinstance(declared, list) else ():
        path = one.get("path") if isinstance(one, dict) else None
        if isinstance(path, str) and (crate / path).is_file():
            return crate / path
    return None


def _check_function(handler: DeclaredHandler, source: Path, name: str) -> None:
    """Check that the library's source may export an async function of that name."""
    text = handler.read(source)
    if text is None or not _IDENTIFIER.fullmatch(name) or _COMPUTED.search(text):
        return
    if any("*" in one or re.search(rf"\b{name}\b", one) for one in clauses(text, _REEXPORT, ";")):
        return
    shown = handler.shown(source)
    hint = f"Write pub async fn {name}(request: Request<Body>) -> Response<Body>."
    declaration = rf"^[ \t]*(pub(?:\([^)\n]*\))?\s+)?((?:async\s+|unsafe\s+)*)fn\s+{name}\b[^{{;]*"
    found = re.search(declaration, text, re.MULTILINE)
    if found is None:
        handler.add_missing(f"{shown} neither declares nor re-exports a function {name}", hint)
    elif found.group(1) is None or "(" in found.group(1):
        handler.add_missing(f"the function {name} in {shown} is not public", hint)
    elif "async" not in found.group(2) and not re.search(r"Future|->\s*\w*Box", found.group(0)):
        handler.add_missing(f"the function {name} in {shown} is not async", hint)
