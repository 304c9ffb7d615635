"""Checks handlers of Go: a folder with a ``go.mod``, and an exported function in its package, or a program."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.project.languages.handler import DeclaredHandler, main_package_note

_EXPORTED: Final = re.compile(r"[A-Z]\w*", re.ASCII)
_PACKAGE: Final = re.compile(r"^[ \t]*package[ \t]+(\w+)", re.MULTILINE)
_MAIN: Final = re.compile(r"^func\s+main\s*\(\s*\)", re.MULTILINE)
_MAIN_PACKAGE: Final = "main"
_REFUSED: Final = "an exported handler in a package that is not main"


def check_handler(handler: DeclaredHandler) -> tuple[str, ...]:
    """Check a handler of Go, ``Name``, ``folder/Name``, or ``.`` or a folder for a program.

    Returns:
        A note about a program.
    """
    path = PurePosixPath(handler.name)
    folder = handler.folder / path.parent
    if not _EXPORTED.fullmatch(path.name) or not (folder / "go.mod").is_file():
        program = handler.folder / path
        if _is_program(handler, program) and _has_module(handler, program):
            return (main_package_note(handler.subject, "Go", _REFUSED),)
    if not _EXPORTED.fullmatch(path.name):
        hint = "Use an exported function's name, as in Handle or folder/Handle, or a folder with a package main."
        if not (handler.folder / path).is_dir():
            message = f"{handler.subject}: {handler.name} is not a valid Go handler."
            handler.subject.add("bad-handler", message, hint, setting="handler")
        elif handler.build_output is None:
            handler.add_missing(f"{handler.shown(handler.folder / path)} has no go.mod and package main", hint)
        return ()
    if not handler.require_file(folder / "go.mod") or handler.build_output is not None:
        return ()
    return _check_function(handler, folder, path.name)


def _check_function(handler: DeclaredHandler, folder: Path, name: str) -> tuple[str, ...]:
    sources = _read_sources(handler, folder)
    packages = [_package_of(text) for text in sources if _declares(text, name)]
    where = handler.shown(folder)
    if not packages:
        if None not in sources:
            hint = f"Write func {name}(w http.ResponseWriter, r *http.Request) in a .go file beside go.mod."
            handler.add_missing(f"no .go file in {where} declares {name}", hint)
        return ()
    if any(package != _MAIN_PACKAGE for package in packages):
        return ()
    if _is_program(handler, folder):
        return (main_package_note(handler.subject, "Go", _REFUSED),)
    hint = "Rename the package to anything but main."
    handler.add_missing(f"{name} in {where} is in the package main, whose functions cannot be imported", hint)
    return ()


def _read_sources(handler: DeclaredHandler, folder: Path) -> list[str | None]:
    """Return the text of a folder's Go files without tests; ``None`` for one that cannot be read."""
    try:
        files = sorted(file for file in folder.iterdir() if file.name.endswith(".go") and file.is_file())
    except OSError:
        return []
    return [handler.read(file) for file in files if not file.name.endswith("_test.go")]


def _package_of(text: str | None) -> str | None:
    """Return the package that a file belongs to, or ``None`` if that is unknown."""
    found = _PACKAGE.search(_without_block_comments(text)) if text is not None else None
    return found.group(1) if found else None


def _without_block_comments(text: str) -> str:
    code, _, rest = text.partition("/*")
    pieces = [code]
    position = len(text) - len(rest)
    while position < len(text):
        close = text.find("*/", position)
        if close < 0:
            break
        start = text.find("/*", close + 2)
        start = len(text) if start < 0 else start
        pieces.append(text[close + 2 : start])
        position = start + 2
    return "".join(pieces)


def _declares(text: str | None, name: str) -> bool:
    """Return whether a file declares a function or variable at its top level."""
    if text is None:
        return False
    pattern = rf"^func\s+{name}\s*[(\[]|^var\s+{name}\b|^[ \t]+{name}(?:[ \t]+[\w.]+)?[ \t]*="
    return re.search(pattern, text, re.MULTILINE) is not None


def _is_program(handler: DeclaredHandler, folder: Path) -> bool:
    """Return whether a folder holds a package main with a function main."""
    sources = [text for text in _read_sources(handler, folder) if _package_of(text) == _MAIN_PACKAGE]
    return any(text is not None and _MAIN.search(text) for text in sources)


def _has_module(handler: DeclaredHandler, folder: Path) -> bool:
    """Return whether a folder, or one above it within the function's, holds a ``go.mod``."""
    candidates = [folder, *folder.parents]
    inside = [one for one in candidates if one == handler.folder or one.is_relative_to(handler.folder)]
    return any((one / "go.mod").is_file() for one in inside)
