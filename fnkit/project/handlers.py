"""What a handler string means in each language, and whether the code can have such a handler.

A language is one module in ``languages`` and one row in ``_LANGUAGES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.project.languages import go, node, php, python, rust
from fnkit.project.languages.handler import DeclaredHandler
from fnkit.project.problems import Subject


@dataclass(frozen=True, slots=True)
class _Language:
    """One language.

    Attributes:
        form: The form of a handler string.
        description: The form in words.
        check: Checks the files that a handler string refers to, adds problems, and returns notes for the user.
    """

    form: re.Pattern[str]
    description: str
    check: Callable[[DeclaredHandler], tuple[str, ...]]


_PATH_AND_FUNCTION: Final = (
    re.compile(r"[^.\s]+\.[^./\s]+"),
    "a file's path without extension, one dot, and a function's name",
)
_LANGUAGES: Final = {
    "Python": _Language(*_PATH_AND_FUNCTION, python.check_handler),
    "Node": _Language(*_PATH_AND_FUNCTION, node.check_handler),
    "PHP": _Language(*_PATH_AND_FUNCTION, php.check_handler),
    "Go": _Language(
        re.compile(r"\.|[^.\s]+"), "an exported function's name, or a folder with a program", go.check_handler
    ),
    "Rust": _Language(
        re.compile(r"\.|[^.\s]+"), "a function's name, or a folder with a program", rust.check_handler
    ),
}
"""By the language's name in the table of runtimes."""


def check_handler(
    root: Path, code_path: str, handler: str, language: str, subject: Subject, *, build_output: str | None = None
) -> tuple[str, ...]:
    """Check a function declared in settings: its folder, the form of its handler, and the handler's file.

    Args:
        root: The project folder.
        code_path: The folder of the function's code, relative to the project.
        handler: The handler string.
        language: The runtime's language.
        subject: The function.
        build_output: Folder that the function's build writes, relative to its code.

    Returns:
        Notes for the user.
    """
    folder = _code_folder(root, code_path, subject)
    if folder is None:
        return ()
    row = _LANGUAGES[language]
    if not row.form.fullmatch(handler) or ".." in PurePosixPath(handler).parts or handler.startswith("/"):
        message = f"{subject}: {handler[:80]!r} is not a valid {language} handler."
        subject.add("bad-handler", message, f"Use {row.description}.", setting="handler")
        return ()
    declared = DeclaredHandler(root=root, folder=folder, name=handler, subject=subject, build_output=build_output)
    return row.check(declared)


def _code_folder(root: Path, code_path: str, subject: Subject) -> Path | None:
    """Return the folder of a function, or ``None`` if it does not exist or is outside the project."""
    path = PurePosixPath(code_path)
    if path.is_absolute() or ".." in path.parts or "\\" in code_path or "\0" in code_path:
        message = f"{subject}: the path {code_path!r} is outside the project."
        hint = "Use a path relative to the settings file, with /."
        subject.add("bad-path", message, hint, setting="path")
        return None
    if not (root / path).is_dir():
        subject.add("handler-missing", f"{subject}: there is no folder {code_path}.", setting="path")
        return None
    return root / path
