"""Checks of the project: its settings and code, the toolchains of its runtimes, and its secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fnkit.cli.checks.model import Check
from fnkit.cli.layout import counted
from fnkit.errors import FnkitError, PlatformError, ProjectInvalid

if TYPE_CHECKING:
    from fnkit.cli.options import CommonOptions
    from fnkit.project import Project


def load_checked_project(common: CommonOptions) -> tuple[Project | None, Check]:
    """Return the project, or ``None`` if there is none or it has problems, and the check of it."""
    from fnkit.deploy.loading import load_project
    from fnkit.project import find_root

    if find_root(common.directory) is None:
        hint = "`fnkit init` makes this folder one, and `fnkit new shop` creates one."
        return None, Check(name="project", ok=False, detail=f"none in {common.directory}", hint=hint)
    try:
        project = load_project(common.directory, stage=common.stage)
    except ProjectInvalid as error:
        hint = "`fnkit scan` shows all problems."
        detail = f"{error.message} The first: {error.problems[0].message}"
        return None, Check(name="project", ok=False, detail=detail, hint=hint, is_needed=True)
    except FnkitError as error:
        return None, Check(name="project", ok=False, detail=error.message, hint=error.hint, is_needed=True)
    detail = f"{project.name}, {counted(len(project.functions), 'function')} ({project.root})"
    return project, Check(
        name="project",
        ok=bool(project.functions),
        detail=detail,
        hint="Mark a handler with @function, and run `fnkit scan`.",
    )


def check_project(project: Project) -> Iterator[Check]:
    """Yield the checks of a valid project."""
    yield from _check_toolchains(project)
    yield from _check_secrets(project)


def _check_toolchains(project: Project) -> Iterator[Check]:
    from fnkit.deploy.user_cache import open_cache_directory
    from fnkit.toolchains.resolution import Toolchains

    try:
        toolchains = Toolchains(cache=open_cache_directory(os.environ).toolchains)
    except FnkitError:
        toolchains = Toolchains()
    for runtime in dict.fromkeys(one.runtime for one in project.functions):
        try:
            found = toolchains.resolve(runtime)
        except PlatformError as error:
            yield Check(name=runtime, ok=False, detail=error.message, hint=error.hint, is_needed=True)
            continue
        version = ".".join(map(str, found.interpreter.version))
        yield Check(
            name=runtime,
            ok=found.warning is None,
            detail=f"run by {version} here ({found.interpreter.path})",
            hint=f"{found.warning} Install that version to run what Scaleway runs." if found.warning else None,
        )


def _check_secrets(project: Project) -> Iterator[Check]:
    from fnkit.project.secrets import locate_secrets

    try:
        declared = [one for one in locate_secrets(project, os.environ) if one.is_declared]
    except ProjectInvalid as error:
        problem = error.problems[0]
        yield Check(name="secrets", ok=False, detail=problem.message, hint=problem.hint, is_needed=True)
        return
    missing = [one.name for one in declared if one.origin is None]
    if missing:
        yield Check(
            name="secrets",
            ok=False,
            detail=f"no value for {', '.join(missing)}",
            hint=f"`fnkit secret set {missing[0]}` asks for it.",
            is_needed=True,
        )
    elif declared:
        yield Check(name="secrets", ok=True, detail=f"{counted(len(declared), 'secret')}, each with a value")
