"""Problems with the file path of a handler.

The platform appends the folder of the file to ``sys.path`` and imports the module by its bare name, so a module of
the same name earlier on the path would be imported instead.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from fnkit.errors import Problem
from fnkit.scanner.imports import ImportStatement

__all__ = ["handler_string", "handler_path_problems", "relative_import_problems", "shadowing_problems"]


def handler_string(file: str, python_name: str) -> str:
    """Return the API's handler string: ``handlers/hello.py`` and ``say`` become ``handlers/hello.say``."""
    return f"{PurePosixPath(file).with_suffix('')}.{python_name}"


def handler_path_problems(file: str) -> tuple[Problem, ...]:
    """Return the reasons why a file of this path cannot contain handlers."""
    path = PurePosixPath(file)
    dotted = [part for part in (*path.parts[:-1], path.stem) if "." in part]
    if dotted:
        return (
            Problem(
                "handler-path",
                f"{dotted[0]!r} contains a dot, so no handler string can refer to a function in {file}.",
                "Rename it: a handler string is a path, one dot, and a function name.",
                file,
                1,
            ),
        )
    if path.stem in sys.stdlib_module_names:
        return (
            Problem(
                "handler-shadowed",
                f"{file} has the name of the standard module {path.stem!r}, which would be imported instead.",
                "Rename the file; the platform imports a handler's module by its bare name.",
                file,
                1,
            ),
        )
    return ()


def relative_import_problems(file: str, imports: Iterable[ImportStatement]) -> Iterator[Problem]:
    """Yield a problem for each relative import, which fails in a module imported by its bare name."""
    for statement in imports:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            yield Problem(
                "relative-import",
                f"{file} contains a handler and a relative import, which fails on the platform.",
                "Import from the project folder instead: from handlers import shared.",
                file,
                statement.lineno,
            )


def shadowing_problems(handler_files: Iterable[str], files: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for each handler module in a folder that shares its bare name with a top-level module.

    Args:
        handler_files: The files that contain handlers, relative, with ``/``.
        files: Every Python file of the project, likewise.
    """
    taken = {file.removesuffix("/__init__.py").removesuffix(".py"): file for file in files}
    for file in handler_files:
        stem = PurePosixPath(file).stem
        if "/" in file and stem in taken:
            yield Problem(
                "handler-shadowed",
                f"{file} has the same bare name as {taken[stem]}, which the platform would import instead.",
                "Rename one of them; the platform imports a handler's module by its bare name.",
                file,
                1,
            )
