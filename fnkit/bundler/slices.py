"""Computes function slices: the files that one function's behaviour depends on, and their digest.

Invariant: an edit that changes a function's behaviour changes its digest. A slice therefore contains the Python
files that the handler can reach, every file that is not Python, the dependencies, the runtime and the handler; and
all files where the reachable ones cannot be determined. The digest is independent of file order, location, times
and umask. fnkit's own runtime modules and the modules of the standard library are also defined here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from fnkit.bundler.bundle import Slice
from fnkit.bundler.contents import Contents
from fnkit.bundler.lock import Lock
from fnkit.bundler.module_facts import ModuleFacts
from fnkit.bundler.reach import ProjectTree, Unmet, reach_of
from fnkit.bundler.runtime_part import RUNTIME_MODULES
from fnkit.bundler.standard_library import left_in, standard_modules
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec

__all__ = ["SliceContext", "handler_file", "slice_function"]

_RULES = 1
"""Increase when the same files must give another digest; every function is then updated once."""
_AT_START = frozenset({"sitecustomize", "usercustomize"})
"""Modules that the interpreter's ``site`` module imports at startup when they exist."""


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
    """

    contents: Contents
    runtime_part: Contents
    tree: ProjectTree
    lock: Lock
    python: tuple[int, int]
    provides: frozenset[str]
    facts: Callable[[str], ModuleFacts]
    requirements_file: str | None


def handler_file(function: FunctionSpec) -> str:
    """Return the file of a Python handler: ``handlers/hello.say_hello`` is in ``handlers/hello.py``."""
    return function.handler.rpartition(".")[0] + ".py"


def slice_function(function: FunctionSpec, context: SliceContext) -> Slice:
    """Compute a function's slice.

    Raises:
        BundleError: ``handler-not-shipped``, ``missing-requirement``, ``fnkit-import``.
    """
    handler = handler_file(function)
    if handler not in context.contents:
        raise BundleError(
            f"{handler}, which contains the handler of {function.name}, is not among the project's selected files.",
            code="handler-not-shipped",
            hint="An ignore file or the setting exclude ignores it; re-include it with the line !" + handler,
            file=handler,
        )
    shadowing = standard_modules(context.python) | context.provides | _AT_START | {"fnkit"}
    top_modules = {path.split("/")[0].removesuffix(".py") for path in context.tree.paths}
    sibling_modules = {
        path.rpartition("/")[2].removesuffix(".py")
        for path in context.tree.modules_in(handler.rpartition("/")[0])
        if not path.endswith("__init__.py")
    }
    reach = reach_of(handler, context.tree, context.facts, shadowing & (top_modules | sibling_modules))
    for unmet in reach.outside:
        _check(unmet, context)
    is_tracked = function.change_detection == "function"
    whole_project_reason = reach.whole if is_tracked else 'change_detection = "project"'
    names = context.contents if whole_project_reason is not None else [
        name for name in context.contents if not name.endswith(".py") or name in reach.files
    ]  # fmt: skip
    files = {name: context.contents[name] for name in names} | dict(context.runtime_part)
    dependencies = [f"{one.name} {one.version} {one.sha256}" for one in context.lock.packages]
    listed = sorted((name, content.sha256, content.executable) for name, content in files.items())
    identity = [_RULES, function.runtime, function.handler, sorted(dependencies), listed]
    return Slice(
        function=function.name,
        digest=hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:32],
        files=tuple((name, sha256) for name, sha256, _ in listed),
        dependencies=tuple(f"{one.name}=={one.version}" for one in context.lock.packages),
        whole=whole_project_reason,
    )


def _check(unmet: Unmet, context: SliceContext) -> None:
    """Reject an import that would fail when the handler is loaded."""
    top = unmet.module.partition(".")[0]
    if top == "fnkit":
        if unmet.module not in RUNTIME_MODULES and not unmet.module.startswith("fnkit.authoring."):
            raise BundleError(
                f"{unmet.file} imports {unmet.module}, which archives do not contain: they contain fnkit's "
                "decorators, types and errors only.",
                code="fnkit-import",
                hint="Import from fnkit itself, and keep tooling out of the files that handlers import.",
                file=unmet.file,
                line=unmet.line,
            )
        return
    if top in context.provides or top in standard_modules(context.python):
        return
    raise BundleError(
        f"{unmet.file} imports {unmet.module}, which neither the project nor its requirements provide.",
        code="missing-requirement",
        hint=_advice(top, context),
        file=unmet.file,
        line=unmet.line,
    )


def _advice(top: str, context: SliceContext) -> str:
    removed = left_in(top)
    if removed is not None and context.python >= removed:
        return f"Python {removed[0]}.{removed[1]} removed {top} from its standard library; require a replacement."
    location = context.requirements_file or "[project] dependencies in pyproject.toml"
    return (
        f"Add the package that provides {top} to {location}; "
        "if it is a file of the project, check that no ignore file excludes it."
    )
