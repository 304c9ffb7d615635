"""Requires permission to build Python packages from source, which runs their code on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fnkit.bundler.builds.permission import (
    AllowBuildsCallback,
    BuildRequest,
    declaration_digest,
    require_permission,
)
from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.dependencies.uv_settings import project_uv_settings
from fnkit.project.model import Project
from fnkit.project.package_sources import PackageIndexes


def check_resolution_builds(
    project: Project, requirements: Iterable[str], indexes: PackageIndexes, allow_builds: AllowBuildsCallback
) -> None:
    """Require permission to resolve requirements, which builds the metadata of ``source_builds``.

    The code that runs is determined by the names, by their own requirements and by the indexes in the project's uv
    settings.

    Args:
        project: The project.
        requirements: The requirements to resolve.
        indexes: The indexes that some of their packages are taken from.
        allow_builds: Called before code of a package runs.

    Raises:
        BundleError: ``builds-not-allowed``.
    """
    if not project.source_builds:
        return
    names = sorted(project.source_builds)
    lines = sorted(line for line in requirements if _requirement_name(line) in names)
    declaration: list[object] = ["resolve", names, lines, project_uv_settings(project.root)]
    if indexes:  # the declaration of a project without them is what it was before they were used
        declaration.append(indexes)
    request = BuildRequest(root=project.root, packages=tuple(names), digests=(declaration_digest(declaration),))
    require_permission(request, allow_builds)


def check_locked_builds(root: Path, packages: tuple[LockedPackage, ...], allow_builds: AllowBuildsCallback) -> None:
    """Require permission to build locked source distributions. Nothing is required for none.

    Raises:
        BundleError: ``builds-not-allowed``.
    """
    if not packages:
        return
    request = BuildRequest(
        root=root,
        packages=tuple(f"{one.name} {one.version}" for one in packages),
        digests=tuple(
            declaration_digest(["build", one.name, one.version, one.url, one.sha256]) for one in packages
        ),
    )
    require_permission(request, allow_builds)


def _requirement_name(line: str) -> str | None:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return None  # the resolver reports it
