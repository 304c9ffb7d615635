"""Checks handlers of Node: the file exists, and its text can export the name.

The text is searched, not parsed: what a file exports may be computed. A name counts as exported unless nothing in
the file could export it, so that a file that works is never rejected.
"""

from __future__ import annotations

import re
from typing import Final

from fnkit.project.languages.handler import DeclaredHandler, clauses

SCRIPT_SUFFIXES: Final = (".js", ".mjs", ".cjs")
"""Suffixes of what Node runs, in the order in which a handler's file is searched."""
TYPESCRIPT_SUFFIXES: Final = (".ts", ".mts", ".cts", ".tsx")
_INDEX_SUFFIXES: Final = ("/index.js", "/index.mjs", "/index.cjs")

_GENERATED_LINE: Final = 5_000
"""A line of this length is the output of a minifier or bundler, which renames what it exports."""
_REEXPORTS: Final = re.compile(
    r"export\s*\*"
    r"|\bexports\s*\[\s*(?![\"'])"  # exports[name] = …
    r"|\bexports\s*=\s*(?![{\s=])"  # module.exports = anything but an object literal
    r"|=\s*(?:module\s*\.\s*)?exports\b(?!\s*[.=\[])"  # const api = module.exports
    r"|\bmodule\s*\["
    r"|defineProperty\(\s*(?:module\.)?exports\s*,\s*(?![\"'\s])"
    r"|(?<!defineProperty)\(\s*(?:module\s*\.\s*)?exports\s*[,)]"  # assign(exports, …), factory(exports)
    r"|[,(]\s*(?:module\s*\.\s*)?exports\s*\)"  # __exportStar(require("./a"), exports)
    r"|\b__export\("
)
"""Ways to export names that the file need not contain."""
_EXPORT_WORD: Final = re.compile(r"\bexports?\b")
_EXPORT_LIST: Final = re.compile(r"\bexport\s*(?:type\s*)?\{")
_EXPORTED_OBJECT: Final = re.compile(r"\bexports\s*=\s*\{")
_EXPORTED_VALUE: Final = re.compile(r"\bexports\s*=\s*\{|\bexport\s+(?:const|let|var|import)\b|\bexport\s*=")


def check_handler(handler: DeclaredHandler) -> tuple[str, ...]:
    """Check that the file of a Node handler exists and may export the function. Returns no notes."""
    path, _, name = handler.name.rpartition(".")
    if handler.is_built(path):
        return ()
    found = handler.find_file(path, (*SCRIPT_SUFFIXES, *_INDEX_SUFFIXES, *TYPESCRIPT_SUFFIXES))
    if found is None:
        hint = "If a build makes it, run that before, or declare it with build and build_output."
        handler.add_missing_file(path, (*SCRIPT_SUFFIXES, TYPESCRIPT_SUFFIXES[0]), hint)
        return ()
    text = handler.read(found)
    if text is not None and not may_export(text, name):
        hint = f"Export it: export function {name}(event, context), or exports.{name} = …"
        handler.add_missing(f"{handler.shown(found)} does not export {name}", hint)
    return ()


def may_export(text: str, name: str) -> bool:
    """Return whether JavaScript or TypeScript may export a name.

    >>> may_export("exports.handler = handle", "handle")
    False
    >>> may_export("module.exports = require('./app')", "handle")
    True
    """
    if _REEXPORTS.search(text) or any(len(line) > _GENERATED_LINE for line in text.splitlines()):
        return True
    if not _EXPORT_WORD.search(text):
        return re.search(rf"\bthis\s*\.\s*{re.escape(name)}\b", text) is not None
    word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
    if not word.search(text):
        return any("..." in literal for literal in clauses(text, _EXPORTED_OBJECT, "}"))
    named = (
        rf"\bexports\s*\??\.\s*{word.pattern}",
        rf"\bexports\s*\[\s*[\"']{re.escape(name)}[\"']",
        rf"defineProperty\(\s*(?:module\.)?exports\s*,\s*[\"']{re.escape(name)}[\"']",
        rf"\bexport\s+(?:declare\s+|abstract\s+)?(?:async\s+)?(?:function\s*\*?|class|enum)\s*{word.pattern}",
        r"\bexport\s+default\b",
    )
    if any(re.search(one, text) for one in named):
        return True
    if any(word.search(one) for one in clauses(text, _EXPORT_LIST, "}")):
        return True
    # Several variables, and an object that is filled after it was exported: the name follows somewhere.
    first = _EXPORTED_VALUE.search(text)
    return first is not None and word.search(text, first.end()) is not None
