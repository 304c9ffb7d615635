"""Builds a project's archives.

1. *Select*: ignore files decide which files of the project ship (``selection``).
2. *Lock*: resolve the requirements to exact files for the target; skipped while its inputs are unchanged.
3. *Fetch*: download wheels into the cache by SHA-256 and verify them; build a source distribution only where the
   project allows it.
4. *Layer*: copy the wheels' compressed bytes into the archive's ``package/``, once per set of wheels.
5. *Slice*: compute each function's digest over everything its behaviour depends on.
6. *Archive*: join the layer and the user's files; all functions of one runtime share the result.

No stage runs the user's code, and only *lock* and *fetch* use the network. Building a source distribution runs its
code, which the caller has to allow. ``python_bundle`` runs these stages for
Python, so far the only language.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.bundler.dependencies.build_permission import AllowBuildsCallback, refuse_builds
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import ResolverBackend, TargetKind, lock_target
from fnkit.bundler.model import Bundle, ProgressCallback, ignore_progress
from fnkit.bundler.python_bundle import bundle_python
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec, Project


def bundle_project(
    project: Project,
    targets: Mapping[str, BundleTarget],
    *,
    out: Path,
    cache: Path,
    kind: TargetKind,
    names: frozenset[str] | None = None,
    report: ProgressCallback = ignore_progress,
    allow_builds: AllowBuildsCallback = refuse_builds,
) -> tuple[Bundle, ...]:
    """Build the project's archives in ``out`` and return them sorted by runtime.

    On an error no partial file is left behind.

    Args:
        project: The project to bundle.
        targets: Target by runtime; a runtime without an entry uses Scaleway's image of that runtime.
        out: Directory for archives; the newest few of each runtime are kept in it.
        cache: Directory for wheels and layers. Processes may share it, and it may be deleted at any time.
        kind: Which lock files to use.
        names: Functions to slice; only the archives of their runtimes are built. ``None`` means all.
        report: Called at each step.
        allow_builds: Called before packages are built from source.

    Raises:
        BundleError: A stage failed; ``docs/errors.md`` lists the codes.
    """
    by_runtime: dict[str, list[FunctionSpec]] = {}
    for function in project.functions:
        if names is None or function.name in names:
            by_runtime.setdefault(function.runtime, []).append(function)
    bundles: list[Bundle] = []
    for runtime in sorted(by_runtime):
        target = _target_of_runtime(runtime, targets, kind)
        functions = tuple(by_runtime[runtime])
        _check_language(functions[0], target)
        bundle = bundle_python(
            project, functions, target, kind=kind, out=out, cache=cache, report=report, allow_builds=allow_builds
        )
        bundles.append(bundle)
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

    Returns an empty tuple for a project without requirements.

    Raises:
        BundleError: The requirements could not be resolved, or a lock file could not be written.
    """
    runtimes = sorted({one.runtime for one in project.functions if one.runtime.startswith("python")})
    if not project.requirements:
        return ()
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


def _check_language(function: FunctionSpec, target: BundleTarget) -> None:
    """Reject the runtime of a function that cannot be bundled."""
    if target.language != "python" or target.python is None:
        raise BundleError(
            f"{function.name} uses {target.runtime}; this version of fnkit bundles Python 3 only.",
            code="language-not-bundled",
            hint="Deploy it with another tool, or use a Python runtime.",
            file=function.source.file,
            line=function.source.line,
        )
