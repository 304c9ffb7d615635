"""Computes function slices: the files that one function's behaviour depends on, and their digest.

Invariant: an edit that changes a function's behaviour changes its digest. A slice therefore contains the Python
files that the handler can reach, every file that is not Python, the dependencies, the runtime and the handler; and
all files where the reachable ones cannot be determined. The digest is independent of file order, location, times
and umask. fnkit's own runtime modules and the modules of the standard library are also defined here.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.files.content import ContentByPath, read_verified
from fnkit.bundler.model import Slice
from fnkit.bundler.slices.import_graph import ProjectTree, Reachability, UnresolvedImport, trace_imports
from fnkit.bundler.slices.module_imports import ModuleImports
from fnkit.errors import BundleError, Problem
from fnkit.project.model import FunctionSpec

_AUTHORING_MODULES = frozenset({"fnkit", "fnkit.authoring", "fnkit.errors"})
"""Modules of fnkit that a handler may import, besides those under ``fnkit.authoring``."""

_REMOVED = {
    (3, 12): frozenset({"asynchat", "asyncore", "distutils", "imp", "smtpd"}),
    (3, 13): frozenset(
        {
            "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis",
            "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib",
        }
    ),
}  # fmt: skip
"""Removals, from "What's New in Python" 3.12 and 3.13 (PEP 594, PEP 632)."""
_ADDED = {
    (3, 9): frozenset({"graphlib", "zoneinfo"}),
    (3, 11): frozenset({"tomllib"}),
    (3, 14): frozenset({"annotationlib", "compression"}),
}

_DIGEST_VERSION = 1
"""Increase when the same files must give another digest; every function is then updated once."""
_STARTUP_MODULES = frozenset({"sitecustomize", "usercustomize"})
"""Modules that the interpreter's ``site`` module imports at startup when they exist."""


def _standard_library_modules(python: tuple[int, int]) -> frozenset[str]:
    """Return the standard library's top-level modules of a Python version.

    Starts from the running interpreter's list and corrects it for modules added or removed between the two
    versions.
    """
    names = set(sys.stdlib_module_names) | {"__main__", "__future__"}
    for version, removed in _REMOVED.items():
        names = names - removed if python >= version else names | removed
    for version, added in _ADDED.items():
        names = names | added if python >= version else names - added
    return frozenset(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceContext:
    """Inputs shared by the slices of one archive.

    Attributes:
        contents: The user's files.
        runtime_part: fnkit's own files.
        tree: The user's files, indexed by module.
        python: (major, minor) of the interpreter that runs them.
        dependency_modules: Top-level modules of the dependencies.
        read_imports: Returns the imports of one of the user's Python files.
        entry_files: Returns what a function needs whose handler the platform cannot call itself.
        shown: Returns the path by which users know one of their files.
        groups_with_module: Returns the dependency groups that provide a top-level module, as far as is known.
    """

    contents: ContentByPath
    authoring_runtime: ContentByPath
    tree: ProjectTree
    lock: Lock
    python: tuple[int, int]
    dependency_modules: frozenset[str]
    read_imports: Callable[[str], ModuleImports]
    requirements_file: str | None
    entry_files: Callable[[FunctionSpec], ContentByPath] = lambda _function: {}
    shown: Callable[[str], str] = str
    groups_with_module: Callable[[str], tuple[str, ...]] = lambda _module: ()


def slice_function(function: FunctionSpec, context: SliceContext) -> Slice:
    """Compute a function's slice.

    Raises:
        BundleError: ``handler-not-shipped``, ``missing-requirement``, ``fnkit-import``.
    """
    reach = _trace_handler(function, context)
    for unmet in reach.unresolved:
        failure = _import_failure(unmet, function, context)
        if failure is not None:
            raise failure
    is_tracked = function.change_detection == "function"
    whole_project_reason = reach.whole_project_reason if is_tracked else 'change_detection = "project"'
    names = context.contents if whole_project_reason is not None else [
        name for name in context.contents if not name.endswith(".py") or name in reach.files
    ]  # fmt: skip
    own = {**context.authoring_runtime, **context.entry_files(function)}
    files = {name: context.contents[name] for name in names} | own
    dependencies = [f"{one.name} {one.version} {one.sha256}" for one in context.lock.packages]
    listed = sorted((name, content.sha256, content.executable) for name, content in files.items())
    identity = [_DIGEST_VERSION, function.runtime, function.handler, sorted(dependencies), listed]
    return Slice(
        function=function.name,
        digest=hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:32],
        files=tuple((context.shown(name), sha256) for name, sha256, _ in listed),
        dependencies=tuple(f"{one.name}=={one.version}" for one in context.lock.packages),
        whole_project_reason=whole_project_reason,
    )


def import_problems(function: FunctionSpec, context: SliceContext) -> tuple[Problem, ...]:
    """Return a problem for each import that would fail when the function's handler is loaded.

    Raises:
        BundleError: ``handler-not-shipped``.
    """
    failures = (_import_failure(unmet, function, context) for unmet in _trace_handler(function, context).unresolved)
    return tuple(failure.as_problem() for failure in failures if failure is not None)


def _trace_handler(function: FunctionSpec, context: SliceContext) -> Reachability:
    """Follow the imports of a function's handler.

    Raises:
        BundleError: ``handler-not-shipped``.
    """
    user_handler = function.handler if function.entry is None else function.entry.handler
    handler = user_handler.rpartition(".")[0] + ".py"  # handlers/hello.say_hello is in handlers/hello.py
    if handler not in context.contents:
        raise BundleError(
            f"{handler}, which contains the handler of {function.name}, is not among the project's selected files.",
            code="handler-not-shipped",
            hint="An ignore file or the setting exclude ignores it; re-include it with the line !" + handler,
            file=handler,
        )
    shadowing = (
        _standard_library_modules(context.python) | context.dependency_modules | _STARTUP_MODULES | {"fnkit"}
    )
    top_modules = {path.split("/")[0].removesuffix(".py") for path in context.tree.paths}
    sibling_modules = {
        path.rpartition("/")[2].removesuffix(".py")
        for path in context.tree.modules_in(handler.rpartition("/")[0])
        if not path.endswith("__init__.py")
    }
    return trace_imports(
        handler, context.tree, context.read_imports, shadowing & (top_modules | sibling_modules), context.shown
    )


def _import_failure(
    unresolved: UnresolvedImport, function: FunctionSpec, context: SliceContext
) -> BundleError | None:
    """Return the error of an import that would fail when the handler is loaded, ``None`` if it would succeed."""
    top = unresolved.module.partition(".")[0]
    if top == "fnkit":
        if unresolved.module not in _AUTHORING_MODULES and not unresolved.module.startswith("fnkit.authoring."):
            return BundleError(
                f"Archives do not contain {unresolved.module}: they contain decorators, types and errors only.",
                code="fnkit-import",
                hint="Import from fnkit itself, and keep tooling out of the files that handlers import.",
                file=context.shown(unresolved.file),
                line=unresolved.line,
            )
        return None
    if top in context.dependency_modules or top in _standard_library_modules(context.python):
        return None
    column = _column_of(unresolved, context)
    groups = tuple(name for name in context.groups_with_module(top) if name not in function.groups)
    message = f"Neither the project nor its requirements provide {unresolved.module}."
    if groups:
        provider = f"group {groups[0]} provides" if len(groups) == 1 else f"groups {', '.join(groups)} provide"
        message = f"{function.name} imports {unresolved.module}, which only the dependency {provider}."
    return BundleError(
        message,
        code="missing-requirement",
        hint=_missing_group_hint(function, groups) if groups else _missing_import_hint(top, context),
        file=context.shown(unresolved.file),
        line=unresolved.line,
        column=column,
        end_column=None if column is None else column + len(unresolved.module),
    )


def _column_of(unresolved: UnresolvedImport, context: SliceContext) -> int | None:
    """Return the column of the module's name in its import statement, counted from 1; ``None`` if not found."""
    content = read_verified(context.contents[unresolved.file], unresolved.file)
    lines = re.split(r"\r\n|\r|\n", content.decode("utf-8-sig", "replace"))
    line = "".join(lines[unresolved.line - 1 : unresolved.line])
    found = re.search(rf"\b{re.escape(unresolved.module)}\b", line)
    return found.start() + 1 if found else None


def _missing_group_hint(function: FunctionSpec, groups: tuple[str, ...]) -> str:
    listed = json.dumps([*function.groups, groups[0]])
    return f"Set groups={listed} on {function.name}, or import it in a file that only functions with it import."


def _missing_import_hint(module: str, context: SliceContext) -> str:
    for (major, minor), removed in _REMOVED.items():
        if module in removed and context.python >= (major, minor):
            return f"Python {major}.{minor} removed {module} from its standard library; require a replacement."
    location = context.requirements_file or "[project] dependencies in pyproject.toml"
    return (
        f"Add the package that provides {module} to {location}; "
        "if it is a file of the project, check that no ignore file excludes it."
    )
