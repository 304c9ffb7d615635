"""Asks for permission to build packages from source, which runs their code on this machine.

A project declares what may be built. That never suffices, because repositories are not trusted: before a build, its
``BuildRequest`` is shown to a callback of the caller, who knows what the person in front of fnkit has allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.dependencies.uv_settings import project_uv_settings
from fnkit.errors import BundleError
from fnkit.project.model import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Builds that are about to run.

    Attributes:
        root: The project's directory.
        packages: What would be built: names of packages, with their versions where they are locked.
        digests: A SHA-256 hex digest of each declaration that determines which code runs.
    """

    root: Path
    packages: tuple[str, ...]
    digests: tuple[str, ...]


AllowBuildsCallback = Callable[[BuildRequest], bool]


def refuse_builds(_request: BuildRequest) -> bool:
    """Allow no build."""
    return False


def check_resolution_builds(project: Project, allow_builds: AllowBuildsCallback) -> None:
    """Require permission to resolve requirements, which builds the metadata of ``source_builds``.

    The code that runs is determined by the names, by their own requirements and by the indexes in the project's uv
    settings.

    Raises:
        BundleError: ``builds-not-allowed``.
    """
    if not project.source_builds:
        return
    names = sorted(project.source_builds)
    lines = sorted(line for line in project.requirements if _requirement_name(line) in names)
    declaration: list[object] = ["resolve", names, lines, project_uv_settings(project.root)]
    request = BuildRequest(root=project.root, packages=tuple(names), digests=(_digest(declaration),))
    _check(request, allow_builds)


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
        digests=tuple(_digest(["build", one.name, one.version, one.url, one.sha256]) for one in packages),
    )
    _check(request, allow_builds)


def _requirement_name(line: str) -> str | None:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return None  # the resolver reports it


def _digest(declaration: list[object]) -> str:
    return hashlib.sha256(msgspec.json.encode(declaration, order="deterministic")).hexdigest()


def _check(request: BuildRequest, allow_builds: AllowBuildsCallback) -> None:
    if allow_builds(request):
        return
    raise BundleError(
        f"The project builds {', '.join(request.packages)} from source, which runs code of these packages on this "
        "machine, and that is not allowed for it.",
        code="builds-not-allowed",
        hint="Review source_builds and the lock file, then run `fnkit bundle --allow-builds`, or set "
        "FNKIT_ALLOW_BUILDS=1. `fnkit plan` and `fnkit status` never build; they use what was built.",
    )
