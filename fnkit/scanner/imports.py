"""Problems with the imports and the file path of a handler's module.

A bundle contains only ``fnkit``, ``fnkit.errors`` and ``fnkit.authoring``. A handler that imports other parts of
fnkit works on the developer's machine and fails on the platform. The platform appends the folder of a handler's
file to ``sys.path`` and imports the module by its bare name. Relative imports therefore fail, and a module of the
same name earlier on the path is imported instead.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from fnkit.errors import Problem
from fnkit.scanner.names import EXPORTED_NAMES, walk_statements
from fnkit.scanner.spans import SourceLines, Span

ImportStatement: TypeAlias = ast.Import | ast.ImportFrom
_BUNDLED_MODULES: Final = re.compile(r"fnkit(\.errors(\..*)?|\.authoring(\..*)?)?")
_EXPORTED_NAMES: Final = frozenset({*EXPORTED_NAMES, "__version__"})
_BUNDLED_SUBMODULES: Final = frozenset({"authoring", "errors"})


def runtime_imports(tree: ast.Module) -> tuple[ImportStatement, ...]:
    """Return the import statements that run, that is, all but those under ``TYPE_CHECKING``."""
    return tuple(
        statement
        for statement in walk_statements(_without_type_checking(tree.body), into_definitions=True)
        if isinstance(statement, ast.Import | ast.ImportFrom)
    )


def unbundled_imports(file: str, imports: Iterable[ImportStatement], lines: SourceLines) -> tuple[Problem, ...]:
    """Return a problem for each import of a part of fnkit that bundles do not contain."""
    return tuple(
        _import_problem(
            "fnkit-not-bundled",
            f"A deployed bundle does not contain {name}.",
            "Handlers can use fnkit, fnkit.authoring and fnkit.errors; do not import other parts in their modules.",
            file,
            lines.span(statement),
        )
        for statement in imports
        for name in _unbundled_modules(statement)
    )


def reachable_unbundled_imports(
    root: Path,
    handler_files: Iterable[str],
    files: Iterable[str],
    problems_by_file: Mapping[str, tuple[Problem, ...]],
) -> Iterator[Problem]:
    """Yield the problems of the files that a handler imports, directly or indirectly.

    Args:
        root: The project folder.
        handler_files: The files that contain handlers.
        files: Every Python file of the project. All paths are relative, with ``/``.
        problems_by_file: The result of ``unbundled_imports`` by file, for the files that have any.
    """
    if not problems_by_file:
        return
    known = frozenset(files)
    pending, reached = list(handler_files), set(handler_files)
    while pending:
        file = pending.pop()
        yield from problems_by_file.get(file, ())
        new = set(_imported_files(root, file, known)) - reached
        reached |= new
        pending.extend(new)


def _imported_files(root: Path, file: str, project_files: frozenset[str]) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse((root / file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    folder = PurePosixPath(file).parent
    for statement in runtime_imports(tree):
        if isinstance(statement, ast.Import):
            dotted = [alias.name for alias in statement.names]
        else:
            module = statement.module or ""
            dotted = [module, *(f"{module}.{alias.name}".strip(".") for alias in statement.names)]
        # Both the project folder and the folder of the handler's file are on sys.path. Relative imports do not
        # matter here: relative_import_problems reports them.
        for name in dotted:
            for base in (PurePosixPath(), folder):
                path = base.joinpath(*name.split("."))
                yield from {f"{path}.py", f"{path}/__init__.py"} & project_files


def _unbundled_modules(statement: ImportStatement) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    elif statement.level or statement.module is None:
        return
    elif statement.module == "fnkit":
        names = [
            f"fnkit.{alias.name}"
            for alias in statement.names
            if alias.name not in _EXPORTED_NAMES | _BUNDLED_SUBMODULES and alias.name != "*"
        ]
    else:
        names = [statement.module]
    for name in names:
        if name.split(".", 1)[0] == "fnkit" and not _BUNDLED_MODULES.fullmatch(name):
            yield name


def _without_type_checking(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=orelse):
                yield from orelse
            case _:
                yield statement


def handler_string(file: str, python_name: str) -> str:
    """Return the API's handler string: ``handlers/hello.py`` and ``say`` become ``handlers/hello.say``."""
    return f"{PurePosixPath(file).with_suffix('')}.{python_name}"


def handler_path_problems(file: str) -> tuple[Problem, ...]:
    """Return the reasons why a file of this path cannot contain handlers."""
    path = PurePosixPath(file)
    dotted = [part for part in (*path.parts[:-1], path.stem) if "." in part]
    if dotted:
        message = f"{dotted[0]!r} contains a dot, so no handler string can refer to a function in {file}."
        hint = "Rename it: a handler string is a path, one dot, and a function name."
        return (Problem("handler-path", message, hint, file, 1),)
    if path.stem in sys.stdlib_module_names:
        message = f"{file} has the name of the standard module {path.stem!r}, which would be imported instead."
        hint = "Rename the file; the platform imports a handler's module by its bare name."
        return (Problem("handler-shadowed", message, hint, file, 1),)
    return ()


def relative_import_problems(
    file: str, imports: Iterable[ImportStatement], lines: SourceLines
) -> Iterator[Problem]:
    """Yield a problem for each relative import, which fails in a module imported by its bare name."""
    for statement in imports:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            yield _import_problem(
                "relative-import",
                "A relative import fails on the platform, which imports a handler's module by its bare name.",
                "Import from the project folder instead: from handlers import shared.",
                file,
                lines.span(statement),
            )


def _import_problem(code: str, message: str, hint: str, file: str, span: Span) -> Problem:
    return Problem(code, message, hint, file, span.line, span.column, span.end_column)


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
