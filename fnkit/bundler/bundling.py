"""From a project to its archives.

1. *Select*: ignore files decide which of the project's files ship (``selection``).
2. *Lock*: requirements become exact files for the target; skipped while nothing they depend on changed.
3. *Fetch*: wheels into the cache by sha256, verified; a source distribution only where the project allows it.
4. *Layer*: the wheels' packed bytes become the archive's ``package/``, once per set of wheels.
5. *Slice*: each function gets a digest over what its answer depends on.
6. *Archive*: layer + user's files + one directory; functions of one runtime share it.

No stage runs the user's code, and none but *lock* and *fetch* needs the network. Each language has one module
that does its stages; they meet here, in ``_bundle``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.bundler.bundle import Bundle
from fnkit.bundler.lock import Lock
from fnkit.bundler.locking import Backend, Kind, lock_target, needs_lock
from fnkit.bundler.progress import Report, silent
from fnkit.bundler.python_bundle import bundle_python
from fnkit.bundler.target import Target
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec, Project

__all__ = ["bundle_project", "lock_project"]


def bundle_project(
    project: Project,
    targets: Mapping[str, Target],
    *,
    out: Path,
    cache: Path,
    kind: Kind,
    names: frozenset[str] | None = None,
    report: Report | None = None,
) -> tuple[Bundle, ...]:
    """Return the project's archives, written into ``out``, sorted by runtime.

    Args:
        project: what to bundle.
        targets: runtime → where it runs; on Scaleway a runtime without an entry is its own image.
        out: folder for archives; the newest few of each runtime stay in it.
        cache: folder for wheels and layers; processes may share it, and it may be deleted at any time.
        kind: which lock files to use.
        names: only these functions get slices, and only their archives are made; ``None`` for all.
        report: told of each step.

    Raises:
        BundleError: nothing is left half written.
    """
    by_runtime: dict[str, list[FunctionSpec]] = {}
    for function in project.functions:
        if names is None or function.name in names:
            by_runtime.setdefault(function.runtime, []).append(function)
    bundles: list[Bundle] = []
    for runtime in sorted(by_runtime):
        target = _target(runtime, targets, kind)
        functions = tuple(by_runtime[runtime])
        bundles += _bundle(project, functions, target, kind=kind, out=out, cache=cache, report=report or silent)
    return tuple(bundles)


def lock_project(
    project: Project,
    targets: Mapping[str, Target],
    *,
    kind: Kind,
    upgrade: bool = False,
    backend: Backend = "uv",
    report: Report | None = None,
) -> tuple[Lock, ...]:
    """Return the project's locks, one per Python runtime, resolving and writing what is missing or stale.

    A project without requirements has none.

    Raises:
        BundleError: see ``locking``.
    """
    runtimes = sorted({one.runtime for one in project.functions if one.runtime.startswith("python")})
    if not needs_lock(project):
        return ()
    return tuple(
        lock_target(
            project,
            _target(runtime, targets, kind),
            kind,
            upgrade=upgrade,
            backend=backend,
            report=report or silent,
        )
        for runtime in runtimes
    )


def _target(runtime: str, targets: Mapping[str, Target], kind: Kind) -> Target:
    """Return where a runtime runs.

    Raises:
        BundleError: ``unknown-runtime``; ``unknown-target`` when a local platform does not offer the runtime.
    """
    found = targets.get(runtime)
    if found is not None:
        return found
    if kind == "local":
        raise BundleError(
            f"The local platform does not say what runs {runtime}.",
            code="unknown-target",
            hint="Install that language on this machine, or choose a runtime that the platform offers.",
        )
    return Target.scaleway(runtime)


def _bundle(
    project: Project,
    functions: tuple[FunctionSpec, ...],
    target: Target,
    *,
    kind: Kind,
    out: Path,
    cache: Path,
    report: Report,
) -> tuple[Bundle, ...]:
    """Hand the functions of one runtime to their language's module."""
    match target.language:
        case "python" if target.python is not None:
            return (bundle_python(project, functions, target, kind=kind, out=out, cache=cache, report=report),)
        case _:
            raise BundleError(
                f"{functions[0].name} is written for {target.runtime}, and this version bundles Python 3 only.",
                code="language-not-bundled",
                hint="Deploy it with another tool, or write it in Python.",
                file=functions[0].source.file,
                line=functions[0].source.line,
            )
