"""Builds a project's archives, each by the module of its language in ``languages``.

The stages for Python are:

1. *Select*: ignore files decide which files of the project ship (``selection``).
2. *Lock*: resolve the requirements to exact files for the target; skipped while its inputs are unchanged.
3. *Fetch*: download wheels into the cache by SHA-256 and verify them; build a source distribution only where the
   project allows it.
4. *Layer*: copy the wheels' compressed bytes into the archive's ``package/``, once per set of wheels.
5. *Slice*: compute each function's digest over everything its behaviour depends on.
6. *Archive*: join the layer and the user's files; functions of one runtime with the same dependency groups share
   the result.

For other languages, *select* takes the function's folder, package managers *install* the locked packages of Node,
and the slice is the folder. No stage runs the user's code, and only *lock*, *fetch* and *install* use the network.
Building a source distribution and running a declared command run code, which the caller has to allow.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fnkit.bundler.builds.permission import AllowBuildsCallback, refuse_builds
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import ResolverBackend, TargetKind, lock_target
from fnkit.bundler.files.selection import select_by_rules
from fnkit.bundler.languages.go import bundle_go
from fnkit.bundler.languages.node import bundle_node
from fnkit.bundler.languages.php import bundle_php
from fnkit.bundler.languages.python import bundle_python, read_user_files
from fnkit.bundler.languages.request import BundleRequest, LanguageBundler
from fnkit.bundler.languages.rust import bundle_rust
from fnkit.bundler.model import Bundle, ProgressCallback, ignore_progress
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError
from fnkit.project.model import BuildCommand, FunctionSpec, Project

_LANGUAGES: Final[Mapping[str, LanguageBundler]] = {
    "python": bundle_python,
    "node": bundle_node,
    "php": bundle_php,
    "go": bundle_go,
    "rust": bundle_rust,
}
"""By the language of a target. A language is one module in ``languages`` and one row here."""


def bundle_project(
    project: Project,
    targets: Mapping[str, BundleTarget],
    *,
    out: Path | None,
    cache: Path,
    kind: TargetKind,
    names: frozenset[str] | None = None,
    report: ProgressCallback = ignore_progress,
    allow_builds: AllowBuildsCallback | None = refuse_builds,
) -> tuple[Bundle, ...]:
    """Build the project's archives in ``out`` and return them sorted by runtime and folder.

    Functions of one runtime, folder, build and set of dependency groups share an archive.

    On an error no partial file is left behind.

    Args:
        project: The project to bundle.
        targets: Target by runtime; a runtime without an entry uses Scaleway's image of that runtime.
        out: Directory for archives; the newest few of each kind are kept in it. ``None`` to describe the content
            of the archives without writing them.
        cache: Directory for wheels and layers. Processes may share it, and it may be deleted at any time.
        kind: Which lock files to use.
        names: Functions to slice; only the archives of their runtimes are built. ``None`` means all.
        report: Called at each step.
        allow_builds: Called before code of the project or of its packages runs. ``None`` is for a plan: nothing
            runs, and an archive that needs a command of the project is planned and not written, unless the cache
            has what the command made.

    Raises:
        BundleError: A stage failed; ``docs/errors.md`` lists the codes.
    """
    groups: dict[tuple[str, str, BuildCommand | None, tuple[str, ...]], list[FunctionSpec]] = {}
    for function in project.functions:
        shared = (function.runtime, function.root, function.build, function.groups)
        groups.setdefault(shared, []).append(function)
    select = functools.cache(functools.partial(select_by_rules, project.root, included=project.included))
    python_files = functools.cache(functools.partial(read_user_files, project))
    bundles: list[Bundle] = []
    for group in sorted(groups.values(), key=lambda one: (one[0].runtime, one[0].root, one[0].name)):
        selected = tuple(one for one in group if names is None or one.name in names)
        if not selected:
            continue
        target = _target_of_runtime(group[0].runtime, targets, kind)
        request = BundleRequest(
            project=project,
            group=tuple(group),
            functions=selected,
            target=target,
            kind=kind,
            out=cache if out is None else out,
            cache=cache,
            report=report,
            allow_builds=refuse_builds if allow_builds is None else allow_builds,
            run_builds=allow_builds is not None,
            select=select,
            python_files=python_files,
            write_archive=out is not None,
        )
        bundles.append(_LANGUAGES[target.language](request))
    return tuple(bundles)


def lock_project(
    project: Project,
    targets: Mapping[str, BundleTarget],
    *,
    kind: TargetKind,
    upgrade: bool = False,
    backend: ResolverBackend = "uv",
    report: ProgressCallback = ignore_progress,
    allow_builds: AllowBuildsCallback = refuse_builds,
) -> tuple[Lock, ...]:
    """Return the project's locks, one per Python runtime; resolve and write those that are missing or stale.

    A runtime whose functions have no requirements has none.

    Raises:
        BundleError: The requirements could not be resolved, or a lock file could not be written.
    """
    runtimes = sorted({one.runtime for one in project.functions if one.runtime.startswith("python")})
    return tuple(
        lock_target(
            project,
            _target_of_runtime(runtime, targets, kind),
            kind,
            upgrade=upgrade,
            backend=backend,
            report=report,
            allow_builds=allow_builds,
        )
        for runtime in runtimes
        if project.requirements or any(group.requirements for group in project.locked_groups(runtime))
    )


def _target_of_runtime(runtime: str, targets: Mapping[str, BundleTarget], kind: TargetKind) -> BundleTarget:
    """Return the target of a runtime.

    Raises:
        BundleError: ``unknown-runtime``; ``unknown-target`` when a local platform does not offer the runtime.
    """
    found = targets.get(runtime)
    if found is not None:
        return found
    if kind == "local":
        raise BundleError(
            f"The local platform has no interpreter for {runtime}.",
            code="unknown-target",
            hint="Install that language on this machine, or use a runtime that the platform offers.",
        )
    return BundleTarget.scaleway(runtime)
