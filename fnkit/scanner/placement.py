"""Where a handler may stand: its file's place and name, and what the platform's way of importing asks of it.

The platform adds the file's folder to the end of ``sys.path`` and imports the module by its bare name
(functions-contract §1.7), so the name must not be taken by anything that comes earlier on that path.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from fnkit.errors import Problem
from fnkit.scanner.imports import ImportStatement

__all__ = ["handler_of", "placement_problems", "relative_import_problems", "shadowing_problems"]


def handler_of(file: str, python_name: str) -> str:
    """The API's handler string: ``handlers/hello.py``, ``say`` → ``handlers/hello.say``."""
    return f"{PurePosixPath(file).with_suffix('')}.{python_name}"


def placement_problems(file: str) -> tuple[Problem, ...]:
    """What keeps a file from holding handlers, judged by its path alone (functions-contract §1.7)."""
    path = PurePosixPath(file)
    dotted = [part for part in (*path.parts[:-1], path.stem) if "." in part]
    if dotted:
        return (
            Problem(
                "handler-path",
                f"{dotted[0]!r} has a dot in it, so no handler string can name a function in {file}.",
                "Rename it: a handler is named by path and function with one dot between them.",
                file,
                1,
            ),
        )
    if path.stem in sys.stdlib_module_names:
        return (
            Problem(
                "handler-shadowed",
                f"{file} is named like Python's own module {path.stem!r}, which the platform would import instead.",
                "Rename the file; the platform imports a handler's module by its bare name.",
                file,
                1,
            ),
        )
    return ()


def relative_import_problems(file: str, imports: Iterable[ImportStatement]) -> Iterator[Problem]:
    """Relative imports, which fail where a handler's module is imported by its bare name."""
    for statement in imports:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            yield Problem(
                "relative-import",
                f"{file} holds a handler and imports relatively, which fails on the platform.",
                "Import from the project's folder instead: from handlers import shared.",
                file,
                statement.lineno,
            )


def shadowing_problems(handler_files: Iterable[str], files: Iterable[str]) -> Iterator[Problem]:
    """Handler modules in folders whose bare name a module or package of the project's root takes.

    Args:
        handler_files: the files that hold handlers, relative with ``/``.
        files: every Python file of the project, the same way.
    """
    taken = {file.removesuffix("/__init__.py").removesuffix(".py"): file for file in files}
    for file in handler_files:
        stem = PurePosixPath(file).stem
        if "/" in file and stem in taken:
            yield Problem(
                "handler-shadowed",
                f"{file} has the bare name of {taken[stem]}, which the platform would import instead.",
                "Rename one of them; the platform imports a handler's module by its bare name.",
                file,
                1,
            )
