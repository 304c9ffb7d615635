"""Bundles Python functions: lock, wheels, layer, slices, archive.

All Python functions of a project with one runtime share one lock, one layer and one archive; each function has its
own slice. A run without changes reads and hashes the user's files and writes nothing.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec

from fnkit.bundler.archive import is_written, plan_archive, write_archive
from fnkit.bundler.bundle import Bundle, Slice
from fnkit.bundler.contents import Contents, read_contents
from fnkit.bundler.facts_cache import FactsCache
from fnkit.bundler.layer import CorruptWheel, Layer, open_layer, write_layer
from fnkit.bundler.lock import Lock
from fnkit.bundler.locking import Kind, lock_target
from fnkit.bundler.progress import BundleProgress, Report
from fnkit.bundler.reach import ProjectTree
from fnkit.bundler.runtime_part import runtime_part
from fnkit.bundler.selection import select_files
from fnkit.bundler.slices import SliceContext, slice_function
from fnkit.bundler.target import Target
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec, Project

__all__ = ["bundle_python"]

_KEPT = 4
"""Archives of one runtime and target that are kept: a concurrent deploy may still upload an older one."""


def bundle_python(
    project: Project,
    functions: tuple[FunctionSpec, ...],
    target: Target,
    *,
    kind: Kind,
    out: Path,
    cache: Path,
    report: Report,
) -> Bundle:
    """Build the archive of a project's Python functions of one runtime, with a slice for each of ``functions``.

    Raises:
        BundleError: A stage failed.
    """
    contents = _user_files(project)
    lock = lock_target(project, target, kind, report=report)
    layer = _layer(lock, cache, report)
    authoring_files = runtime_part()
    _refuse_conflicts(contents, layer, authoring_files)
    slices = _slices(project, functions, target, lock, layer, contents, cache)
    files = {**contents, **authoring_files}
    digest = _digest(layer, files)
    archive = plan_archive(layer, files, cache)
    path = out / f"{target.runtime}-{kind}-{digest[:16]}.zip"
    if not is_written(archive, path):
        report(BundleProgress(stage="archive", runtime=target.runtime, detail=path.name))
        write_archive(archive, path)
    _forget_older(path, f"{target.runtime}-{kind}-")
    return Bundle(
        path=path,
        runtime=target.runtime,
        target=target.platform,
        digest=digest,
        size=archive.size,
        unpacked_size=archive.unpacked,
        slices=slices,
        dependencies=layer.dependencies,
        notes=(*lock.notes, *layer.notes, *_whole_notes(slices)),
    )


def _user_files(project: Project) -> Contents:
    """Return the content of the project's selected files, without the directories of functions in other languages.

    A directory ``package/`` with installed distributions is left out: the layer provides it.
    """
    other_roots = tuple(
        f"{one.root.strip('/')}/"
        for one in project.functions
        if not one.runtime.startswith("python") and one.root.strip("/") not in ("", ".")
    )
    paths = select_files(project.root, project.exclude)
    vendored = any(path.startswith("package/") and ".dist-info/" in path for path in paths)
    kept = tuple(
        path
        for path in paths
        if not path.startswith(other_roots) and not (vendored and path.startswith("package/"))
    )
    return read_contents(project.root, kept)


def _layer(lock: Lock, cache: Path, report: Report) -> Layer:
    """Return the layer of a lock's packages. A corrupt cached wheel is deleted and fetched once more."""
    found = open_layer(lock.packages, cache)
    if found is not None:
        return found
    try:
        _make_layer(lock, cache, report)
    except CorruptWheel as corrupt:
        corrupt.wheel.unlink(missing_ok=True)
        try:
            _make_layer(lock, cache, report)
        except CorruptWheel as again:
            raise BundleError(
                f"The SHA-256 of the wheel of {again.distribution} is not the locked one.",
                code="hash-mismatch",
                hint="Find out why before you use it; `fnkit lock --upgrade` locks the file that is there now.",
            ) from again
    built = open_layer(lock.packages, cache)
    if built is None:
        raise BundleError(
            "The dependency layer disappeared from the cache while it was in use.",
            code="cache-unusable",
            hint=f"Check which other program changes {cache}, then run the command again.",
        )
    return built


def _make_layer(lock: Lock, cache: Path, report: Report) -> None:
    wheels = _wheels(lock, cache, report)
    report(BundleProgress(stage="layer", runtime=lock.runtime, total=len(wheels)))
    write_layer(lock.packages, wheels, cache)


def _wheels(lock: Lock, cache: Path, report: Report) -> dict[str, Path]:
    # Imported late: only a run with missing files should pay for loading the HTTP client.
    from fnkit.bundler.source_builds import built_wheel
    from fnkit.bundler.wheels import fetch_files

    files = dict(fetch_files(lock.packages, cache, runtime=lock.runtime, report=report))
    for package in lock.packages:
        if package.kind == "sdist":
            source = files[package.name]
            files[package.name] = built_wheel(package, source, cache, runtime=lock.runtime, report=report)
    return files


def _slices(
    project: Project,
    functions: tuple[FunctionSpec, ...],
    target: Target,
    lock: Lock,
    layer: Layer,
    contents: Contents,
    cache: Path,
) -> tuple[Slice, ...]:
    if target.python is None:
        raise AssertionError(f"{target.runtime} is no Python runtime")
    imports_cache = FactsCache(project.root, contents, cache)
    context = SliceContext(
        contents=contents,
        runtime_part=runtime_part(),
        tree=ProjectTree(frozenset(contents)),
        lock=lock,
        python=target.python,
        provides=layer.provides,
        facts=imports_cache.facts,
        requirements_file=project.requirements_file,
    )
    slices = tuple(slice_function(function, context) for function in functions)
    imports_cache.close()
    return slices


def _refuse_conflicts(contents: Contents, layer: Layer, ours: Contents) -> None:
    """Reject a user's file at a path that a dependency or fnkit itself must occupy."""
    reserved = layer.provides | {"fnkit"}
    for path in contents:
        if path in ours or (path.startswith("package/") and path.split("/")[1].removesuffix(".py") in reserved):
            raise BundleError(
                f"{path} is in the place of the archive's own dependencies.",
                code="package-folder-conflict",
                hint="Remove the directory package/, which fnkit creates, and keep your code in another directory.",
                file=path,
            )


def _digest(layer: Layer, files: Contents) -> str:
    listed = sorted((name, one.sha256, one.executable) for name, one in files.items())
    return hashlib.sha256(msgspec.json.encode([layer.key, listed])).hexdigest()


def _forget_older(path: Path, prefix: str) -> None:
    """Delete all but the newest archives of a runtime and target."""
    with suppress(OSError):
        path.touch()
        other_roots = sorted(
            path.parent.glob(f"{prefix}*.zip"), key=lambda one: one.stat().st_mtime_ns, reverse=True
        )
        for old in other_roots[_KEPT:]:
            old.unlink()


def _whole_notes(slices: tuple[Slice, ...]) -> tuple[str, ...]:
    """Return a note for each reason why functions depend on the whole project."""
    reasons: dict[str, list[str]] = {}
    for one in slices:
        if one.whole is not None and one.whole != 'change_detection = "project"':
            reasons.setdefault(one.whole, []).append(one.function)
    return tuple(
        f"Any change of the project updates {', '.join(sorted(names))}: {reason}."
        for reason, names in sorted(reasons.items())
    )
