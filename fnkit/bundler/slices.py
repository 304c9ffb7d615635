"""What each function's answer depends on (decision 2).

The law: an edit that changes a function's answer changes its digest. So a slice holds the Python files that the
handler can reach, every file that is not Python, the dependencies, runtime and handler; and everything, where the
reach cannot be known. The digest does not depend on order, place, times or umask.
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
"""Counts up when the same files mean another digest; every function is then updated once."""
_AT_START = frozenset({"sitecustomize", "usercustomize"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceContext:
    """What the slices of one archive share.

    contents: the user's files. runtime_part: fnkit's own. python: (major, minor) that runs them. provides:
    top-level modules of the dependencies. facts: reads one of the user's Python files.
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
    """Return the file of a Python handler: ``handlers/hello.say_hello`` → ``handlers/hello.py``."""
    return function.handler.rpartition(".")[0] + ".py"


def slice_function(function: FunctionSpec, context: SliceContext) -> Slice:
    """Return a function's slice.

    Raises:
        BundleError: ``handler-not-shipped``, ``missing-requirement``, ``fnkit-import``.
    """
    handler = handler_file(function)
    if handler not in context.contents:
        raise BundleError(
            f"{handler}, which holds the handler of {function.name}, is not among the project's files.",
            code="handler-not-shipped",
            hint="An ignore file or the setting exclude leaves it out: take it back with a line !" + handler,
            file=handler,
        )
    shadowing = standard_modules(context.python) | context.provides | _AT_START | {"fnkit"}
    tops = {path.split("/")[0].removesuffix(".py") for path in context.tree.paths}
    beside = {
        path.rpartition("/")[2].removesuffix(".py")
        for path in context.tree.modules_in(handler.rpartition("/")[0])
        if not path.endswith("__init__.py")
    }
    reach = reach_of(handler, context.tree, context.facts, shadowing & (tops | beside))
    for unmet in reach.outside:
        _check(unmet, context)
    whole = reach.whole if function.slice else "slice = false"
    names = context.contents if whole is not None else [
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
        whole=whole,
    )


def _check(unmet: Unmet, context: SliceContext) -> None:
    """Refuse an import that fails when the handler is loaded."""
    top = unmet.module.partition(".")[0]
    if top == "fnkit":
        if unmet.module not in RUNTIME_MODULES and not unmet.module.startswith("fnkit.authoring."):
            raise BundleError(
                f"{unmet.file} imports {unmet.module}, which is not on the platform: archives carry fnkit's "
                "decorators, types and errors only.",
                code="fnkit-import",
                hint="Import from fnkit itself, and keep tools out of the files that handlers import.",
                file=unmet.file,
                line=unmet.line,
            )
        return
    if top in context.provides or top in standard_modules(context.python):
        return
    raise BundleError(
        f"{unmet.file} imports {unmet.module}, and neither the project's files nor its requirements have it.",
        code="missing-requirement",
        hint=_advice(top, context),
        file=unmet.file,
        line=unmet.line,
    )


def _advice(top: str, context: SliceContext) -> str:
    left = left_in(top)
    if left is not None and context.python >= left:
        return f"{top} left Python's standard library in {left[0]}.{left[1]}: find a package that replaces it."
    place = context.requirements_file or "[project] dependencies in pyproject.toml"
    return (
        f"Add the package that provides {top} to {place}; "
        "if it is a file of the project, see whether an ignore file leaves it out."
    )
