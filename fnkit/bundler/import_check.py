"""Finds imports of Python handlers that would fail, without resolving requirements or reaching the network.

What the requirements provide is known if a lock file covers them all and its packages are in the cache, as after a
plan or a deploy; and if there are none. Otherwise only the next plan can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fnkit.bundler.archive.layer import open_layer
from fnkit.bundler.dependencies.group_modules import GroupModules
from fnkit.bundler.dependencies.lockfile import Lock, lock_path, read_lock
from fnkit.bundler.languages.python import read_user_files
from fnkit.bundler.slices.import_graph import ProjectTree
from fnkit.bundler.slices.module_imports import ModuleImportsCache
from fnkit.bundler.slices.slices import SliceContext, import_problems
from fnkit.bundler.target import BundleTarget
from fnkit.errors import Problem
from fnkit.project.model import FunctionSpec, Project

_KINDS: Final = ("scaleway", "local")


@dataclass(frozen=True, slots=True)
class ImportCheck:
    """The imports that would fail, and sentences about what could not be checked."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def check_imports(project: Project, cache: Path) -> ImportCheck:
    """Check what the Python handlers of a valid project import, as bundling does.

    Args:
        project: The project.
        cache: The bundler's cache directory.

    Raises:
        BundleError: A file of the project cannot be read, or a lock file is invalid.
    """
    functions = [one for one in project.functions if one.runtime.startswith("python") and one.build is None]
    if not functions:
        return ImportCheck()
    contents, _ = read_user_files(project)
    imports = ModuleImportsCache(project.root, contents, cache)
    problems: dict[Problem, None] = {}
    unchecked: dict[str, None] = {}
    for function in functions:
        target = BundleTarget.scaleway(function.runtime)
        modules = _dependency_modules(project, function, cache)
        if target.python is None:
            continue
        context = SliceContext(
            contents=contents,
            authoring_runtime={},
            tree=ProjectTree(frozenset(contents)),
            lock=Lock(path=project.root, runtime=function.runtime, target="", key="", packages=()),
            python=target.python,
            dependency_modules=modules or frozenset(),
            read_imports=imports.get,
            requirements_file=project.requirements_file,
            shown=project.shown,
            groups_with_module=GroupModules(project, _find_lock(project, function.runtime), cache).find,
        )
        for problem in import_problems(function, context):
            if modules is None and problem.code == "missing-requirement":
                unchecked[f"{problem.file}:{problem.line}"] = None
            else:
                problems[problem] = None
    imports.save()
    return ImportCheck(tuple(problems), _notes(tuple(unchecked)))


def _find_lock(project: Project, runtime: str) -> Lock | None:
    """Return the lock of any target, which says what groups provide."""
    locks = (read_lock(lock_path(project.root, runtime, kind)) for kind in _KINDS)
    return next((lock for lock in locks if lock is not None), None)


def _dependency_modules(project: Project, function: FunctionSpec, cache: Path) -> frozenset[str] | None:
    """Return the top-level modules that a function's requirements provide, ``None`` if they are not known here."""
    groups = (group for group in project.dependency_groups if group.name in function.groups)
    lines = (*project.requirements, *(line for group in groups for line in group.requirements))
    required = {
        canonicalize_name(requirement.name) for requirement in map(Requirement, lines) if requirement.marker is None
    }
    modules: frozenset[str] | None = None if lines else frozenset()
    for kind in _KINDS if lines else ():
        whole = read_lock(lock_path(project.root, function.runtime, kind))
        lock = None if whole is None else whole.select(function.groups)
        if lock is None or not required <= {one.name for one in lock.packages}:
            continue
        layer = open_layer(lock.packages, cache)
        if layer is not None:
            modules = (modules or frozenset()) | layer.index.top_level_modules
    return modules


def _notes(places: tuple[str, ...]) -> tuple[str, ...]:
    if not places:
        return ()
    note = (
        f"The imports in {', '.join(places)} were not checked: the packages of the requirements are not in the "
        "cache. `fnkit plan` fetches and checks them."
    )
    return (note,)
