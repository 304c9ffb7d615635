"""Creates a lock from a project's requirements: reuses the lock file while its key is unchanged, else resolves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, assert_never

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import Version

from fnkit.bundler.builds.permission import AllowBuildsCallback, refuse_builds
from fnkit.bundler.dependencies.build_permission import check_resolution_builds
from fnkit.bundler.dependencies.locked_groups import (
    NamesResolver,
    all_requirements,
    assign_groups_to_packages,
    check_locked_groups,
)
from fnkit.bundler.dependencies.lockfile import (
    Lock,
    LockedPackage,
    invalid_lock_error,
    lock_path,
    read_lock,
    write_lock,
)
from fnkit.bundler.dependencies.resolver import ResolutionRequest
from fnkit.bundler.dependencies.uv_settings import project_uv_settings
from fnkit.bundler.model import BundleProgress, ProgressCallback, ignore_progress
from fnkit.bundler.target import BundleTarget
from fnkit.project.model import DependencyGroup, Project, SourceLocation
from fnkit.project.package_sources import (
    PackageIndexes,
    PackageSource,
    read_package_sources,
    required_names,
    select_indexes,
)

TargetKind = Literal["scaleway", "local"]
ResolverBackend = Literal["uv", "pip-tools"]

_KEY_VERSION = 1
"""Increase when resolver invocation changes, so that existing locks are resolved again."""


def _lock_key(
    project: Project, target: BundleTarget, groups: tuple[DependencyGroup, ...], indexes: PackageIndexes
) -> str:
    """Return 64 hex digits over everything a lock depends on, except what the index offers."""
    parts: list[object] = [
        _KEY_VERSION,
        sorted(project.requirements),
        target.python_name,
        target.uv_platform,
        sorted(canonicalize_name(name) for name in project.source_builds),
        project_uv_settings(project.root),
    ]
    if groups:  # the key of a project without groups is what it was before there were groups
        parts.append([[group.name, sorted(group.requirements)] for group in groups])
    if indexes:
        parts.append(indexes)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def lock_target(
    project: Project,
    target: BundleTarget,
    kind: TargetKind,
    *,
    upgrade: bool = False,
    backend: ResolverBackend = "uv",
    report: ProgressCallback = ignore_progress,
    allow_builds: AllowBuildsCallback = refuse_builds,
) -> Lock:
    """Return the lock of one target; resolve and write it when it is missing, stale or to be upgraded.

    Raises:
        BundleError: The requirements could not be resolved, ``builds-not-allowed``, or ``not-writable``.
    """
    path = lock_path(project.root, target.runtime, kind)
    groups = project.locked_groups(target.runtime)
    requirements = all_requirements(project, groups)
    if not requirements:
        return Lock(path=path, runtime=target.runtime, target=kind, key="", packages=())
    package_sources = _package_sources(project, groups, requirements)
    indexes = select_indexes(requirements, package_sources)
    key = _lock_key(project, target, groups, indexes)
    previous = read_lock(path)
    if previous is not None:
        _check_source_builds(previous, project)
    if previous is not None and previous.key == key and not upgrade:
        check_locked_groups(previous, project, groups)
        return previous
    check_resolution_builds(project, requirements, indexes, allow_builds)
    report(BundleProgress(stage="lock", runtime=target.runtime, detail=backend))
    sources = tuple(source for source in requirements.values() if source is not None)
    scaleway_lock = read_lock(lock_path(project.root, target.runtime, "scaleway")) if kind == "local" else None
    request = ResolutionRequest(
        root=project.root,
        target=target,
        requirements=tuple(requirements),
        requirement_sources=sources if len(sources) == len(requirements) else (),
        requirements_file=project.requirements_file or "pyproject.toml" if groups else project.requirements_file,
        preferred=_preferred_packages(previous, scaleway_lock),
        source_builds=project.source_builds,
        upgrade=upgrade and scaleway_lock is None,
        package_sources=package_sources,
    )
    packages = tuple(sorted(_resolve(request, backend), key=lambda one: one.name))
    if groups:
        packages = assign_groups_to_packages(packages, project, groups, request, _names_resolver(backend))
    notes = (
        _version_difference_notes(scaleway_lock, packages)
        if scaleway_lock is not None
        else _older_version_notes(request, backend, packages)
    )
    lock = Lock(path=path, runtime=target.runtime, target=kind, key=key, packages=packages, notes=notes)
    lock = replace(lock, groups=tuple(group.name for group in groups))
    write_lock(lock)
    return lock


def _package_sources(
    project: Project, groups: tuple[DependencyGroup, ...], requirements: Mapping[str, SourceLocation | None]
) -> dict[str, PackageSource]:
    """Return the sources of packages that ``pyproject.toml`` requires: uv applies its sources to those alone."""
    names = required_names(
        line
        for line, place in requirements.items()
        if (place.file if place else project.requirements_file) == "pyproject.toml"
    )
    sources = read_package_sources(project.root, [group.name for group in groups])
    return {name: source for name, source in sources.items() if name in names}


def _check_source_builds(lock: Lock, project: Project) -> None:
    """Reject a lock with source distributions that the project does not allow to be built.

    Lock files are committed and cannot be trusted, and a build runs the package's code.

    Raises:
        BundleError: ``lock-file``.
    """
    allowed = {canonicalize_name(name) for name in project.source_builds}
    for package in lock.packages:
        if package.kind == "sdist" and package.name not in allowed:
            raise invalid_lock_error(
                lock.path, f"{package.name} would be built from source, which source_builds does not allow"
            )


def _resolve(request: ResolutionRequest, backend: ResolverBackend) -> tuple[LockedPackage, ...]:
    match backend:
        case "uv":
            from fnkit.bundler.dependencies.uv import resolve_with_uv

            return resolve_with_uv(request)
        case "pip-tools":
            from fnkit.bundler.dependencies.pip_tools import resolve_with_piptools

            return resolve_with_piptools(request)
        case _:
            assert_never(backend)


def _names_resolver(backend: ResolverBackend) -> NamesResolver:
    match backend:
        case "uv":
            from fnkit.bundler.dependencies.uv import names_with_uv

            return names_with_uv
        case "pip-tools":
            from fnkit.bundler.dependencies.pip_tools import names_with_piptools

            return names_with_piptools
        case _:
            assert_never(backend)


def _preferred_packages(previous: Lock | None, scaleway_lock: Lock | None) -> tuple[LockedPackage, ...]:
    """Return the versions to keep where they still fit: Scaleway's for a local lock, else the old lock's.

    A local platform should run the versions that will run on Scaleway.
    """
    packages_by_name = {
        one.name: one for lock in (previous, scaleway_lock) if lock is not None for one in lock.packages
    }
    return tuple(packages_by_name[name] for name in sorted(packages_by_name))


def _version_difference_notes(scaleway_lock: Lock, packages: tuple[LockedPackage, ...]) -> tuple[str, ...]:
    """Return a note for each version in which a local lock differs from Scaleway's."""
    scaleway_versions = {one.name: one.version for one in scaleway_lock.packages}
    return tuple(
        f"{one.name} is locked to {one.version} here and to {scaleway_versions[one.name]} for Scaleway."
        for one in packages
        if one.name in scaleway_versions and scaleway_versions[one.name] != one.version
    )


def _older_version_notes(
    request: ResolutionRequest, backend: ResolverBackend, packages: tuple[LockedPackage, ...]
) -> tuple[str, ...]:
    """Return a note for each package that is older only because its newer versions have no musl wheel.

    uv silently selects an older version with a wheel in that case (seen with duckdb: 1.3 instead of 2.0). The musl
    resolution is compared with one for the same machine with glibc.
    """
    glibc_platform = request.target.glibc_uv_platform
    compiled = [one for one in packages if one.kind == "wheel" and "none-any" not in one.filename]
    if glibc_platform is None or backend != "uv" or not compiled:
        return ()
    from fnkit.bundler.dependencies.uv import newest_versions

    unpinned = replace(request, preferred=())
    glibc_versions = newest_versions(unpinned, glibc_platform)
    if all(glibc_versions.get(one.name, one.version) == one.version for one in compiled):
        return ()
    musl_versions = newest_versions(unpinned, request.target.uv_platform)
    return tuple(
        f"{one.name} {one.version} is locked: {glibc_versions[one.name]} has no musl wheel."
        for one in compiled
        if one.name in glibc_versions
        and one.name in musl_versions
        and Version(glibc_versions[one.name]) > Version(musl_versions[one.name])
    )
