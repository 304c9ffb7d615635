"""Bundles Python functions: lock, wheels, layer, slices, archive.

All Python functions of a project with one runtime share one lock. Those with the same dependency groups share a
layer and an archive, which have the packages of the project's requirements and of these groups. Each function has
its own slice. A run without changes reads and hashes the user's files and writes nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from fnkit.bundler.archive.layer import CorruptWheel, Layer, open_layer, write_layer
from fnkit.bundler.authoring_files import authoring_runtime, entry_files
from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.dependencies.group_modules import GroupModules
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import lock_target
from fnkit.bundler.files.content import ContentByPath, hash_file
from fnkit.bundler.files.selection import SelectionRules, select_included, select_project
from fnkit.bundler.languages.declared_build import declared_build
from fnkit.bundler.languages.folder import (
    ArchivePlan,
    FolderContent,
    archive_path,
    archive_prefix,
    bundle_folder,
    ensure_archive,
    withheld_notes,
)
from fnkit.bundler.languages.request import BundleRequest
from fnkit.bundler.model import Bundle, BundleProgress, ProgressCallback, Slice
from fnkit.bundler.slices.import_graph import ProjectTree
from fnkit.bundler.slices.module_imports import ModuleImportsCache
from fnkit.bundler.slices.slices import SliceContext, slice_function
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec, Project


def bundle_python(request: BundleRequest) -> Bundle:
    """Build the archive of a project's Python functions of one runtime.

    Raises:
        BundleError: A stage failed.
    """
    project, target, cache = request.project, request.target, request.cache
    if target.python is None:
        raise BundleError(
            f"{request.group[0].name} uses {target.runtime}; fnkit bundles Python 3 only.",
            code="language-not-bundled",
            hint="Use a runtime of Python 3.",
            file=request.group[0].source.file,
            line=request.group[0].source.line,
        )
    contents, withheld = request.python_files()
    whole = lock_target(project, target, request.kind, report=request.report, allow_builds=request.allow_builds)
    lock = whole.select(request.groups)
    layer = _ensure_layer(lock, cache, request.report, request.allow_builds)
    authoring_files = authoring_runtime()
    entries = entry_files(request.group, cache)
    _check_package_conflicts(contents, layer, {**authoring_files, **entries})
    build = declared_build(request)
    if build is not None:
        plan = ArchivePlan(
            files={**contents, **authoring_files, **entries},
            layer=layer,
            build=build,
            handler_files=_handler_files,
            notes=(*lock.notes, *layer.index.notes),
        )
        return bundle_folder(request, FolderContent(files=contents, withheld=withheld), plan)
    slices = _slice_functions(request, lock, layer, contents, authoring_files, GroupModules(project, whole, cache))
    files = {**contents, **authoring_files, **entries}
    digest = _content_digest(layer, files)
    prefix = archive_prefix(request)
    bundle = Bundle(
        path=archive_path(request, prefix, digest),
        runtime=target.runtime,
        target=target.platform,
        digest=digest,
        size=0,
        unpacked_size=0,
        slices=slices,
        dependencies=layer.index.dependencies,
        notes=(*lock.notes, *layer.index.notes, *_whole_project_notes(slices), *withheld_notes(withheld)),
        contents=files,
        layer_key=layer.key,
        groups=request.groups,
    )
    return ensure_archive(request, bundle, layer, prefix)


def _handler_files(function: FunctionSpec) -> tuple[str, ...]:
    return (function.user_handler.rpartition(".")[0] + ".py",)


def read_user_files(project: Project) -> tuple[ContentByPath, tuple[str, ...]]:
    """Return the content of the project's selected files, and what was withheld because its name is a secret's.

    Included directories are part of the project. The directories of functions in other languages are left out.

    A directory ``package/`` with installed distributions is left out: the layer provides it.
    """
    other_roots = tuple(
        f"{one.root.strip('/')}/"
        for one in project.functions
        if not one.runtime.startswith("python") and one.root.strip("/") not in ("", ".")
    )
    selection = select_project(project.root, project.exclude, project.included)
    outside = select_included(project.root, SelectionRules(exclude=project.exclude), project.included)
    vendored = any(path.startswith("package/") and ".dist-info/" in path for path in selection.files)
    kept = tuple(
        path
        for path in selection.files
        if not path.startswith(other_roots) and not (vendored and path.startswith("package/"))
    )
    contents = {path: hash_file(project.root / path, path) for path in kept}
    contents |= {path: hash_file(project.file(path), project.shown(path)) for path in outside.files}
    return contents, (*selection.withheld, *outside.withheld)


def _ensure_layer(lock: Lock, cache: Path, report: ProgressCallback, allow_builds: AllowBuildsCallback) -> Layer:
    """Return the layer of a lock's packages. A corrupt cached wheel is deleted and fetched once more."""
    found = open_layer(lock.packages, cache)
    if found is not None:
        return found
    try:
        _build_layer(lock, cache, report, allow_builds)
    except CorruptWheel as corrupt:
        corrupt.wheel.unlink(missing_ok=True)
        try:
            _build_layer(lock, cache, report, allow_builds)
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


def _build_layer(lock: Lock, cache: Path, report: ProgressCallback, allow_builds: AllowBuildsCallback) -> None:
    # Imported late: only a run with missing files should pay for loading the HTTP client.
    from fnkit.bundler.dependencies.locked_wheels import locked_wheels

    wheels = locked_wheels(
        lock.path.parent, lock.packages, cache, runtime=lock.runtime, report=report, allow_builds=allow_builds
    )
    report(BundleProgress(stage="layer", runtime=lock.runtime, total=len(wheels)))
    write_layer(lock.packages, wheels, cache)


def _slice_functions(
    request: BundleRequest,
    lock: Lock,
    layer: Layer,
    contents: ContentByPath,
    authoring_files: ContentByPath,
    group_modules: GroupModules,
) -> tuple[Slice, ...]:
    project, target, cache = request.project, request.target, request.cache
    if target.python is None:
        raise AssertionError(f"{target.runtime} is no Python runtime")
    imports_cache = ModuleImportsCache(project.root, contents, cache)
    context = SliceContext(
        contents=contents,
        authoring_runtime=authoring_files,
        tree=ProjectTree(frozenset(contents)),
        lock=lock,
        python=target.python,
        dependency_modules=layer.index.top_level_modules,
        read_imports=imports_cache.get,
        requirements_file=project.requirements_file,
        entry_files=lambda function: entry_files([function], cache),
        shown=project.shown,
        groups_with_module=group_modules.find,
    )
    slices = tuple(slice_function(function, context) for function in request.functions)
    imports_cache.save()
    return slices


def _check_package_conflicts(contents: ContentByPath, layer: Layer, authoring_files: ContentByPath) -> None:
    """Reject a user's file at a path that a dependency or fnkit itself must occupy."""
    reserved = layer.index.top_level_modules | {"fnkit"}
    for path in contents:
        if path in authoring_files or (
            path.startswith("package/") and path.split("/")[1].removesuffix(".py") in reserved
        ):
            raise BundleError(
                f"{path} is in the place of the archive's own dependencies.",
                code="package-folder-conflict",
                hint="Rename it, or keep your code in another directory than package/, which fnkit fills.",
                file=path,
            )


def _content_digest(layer: Layer, files: ContentByPath) -> str:
    listed = sorted((name, one.sha256, one.executable) for name, one in files.items())
    return hashlib.sha256(msgspec.json.encode([layer.key, listed])).hexdigest()


def _whole_project_notes(slices: tuple[Slice, ...]) -> tuple[str, ...]:
    """Return a note for each reason why functions depend on the whole project."""
    reasons: dict[str, list[str]] = {}
    for one in slices:
        if one.whole_project_reason is not None and one.whole_project_reason != 'change_detection = "project"':
            reasons.setdefault(one.whole_project_reason, []).append(one.function)
    return tuple(
        f"Any change of the project updates {', '.join(sorted(names))}: {reason}."
        for reason, names in sorted(reasons.items())
    )
