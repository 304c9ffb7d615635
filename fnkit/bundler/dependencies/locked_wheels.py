"""The wheels of a lock: those that were built before, fetched ones, and ones that are built from source now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.dependencies.build_permission import check_locked_builds
from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.dependencies.source_builds import build_wheel, find_built_wheel
from fnkit.bundler.dependencies.wheels import fetch_distributions
from fnkit.bundler.model import ProgressCallback


def locked_wheels(
    root: Path,
    packages: tuple[LockedPackage, ...],
    cache: Path,
    *,
    runtime: str,
    report: ProgressCallback,
    allow_builds: AllowBuildsCallback,
) -> Mapping[str, Path]:
    """Return the wheel of each package by its name; fetch and build those that the cache lacks.

    Args:
        root: The project's directory, for the permission to build.
        packages: Packages of a lock.
        cache: The cache of the bundler.
        runtime: For the progress.
        report: Called at each step.
        allow_builds: Called before code of a package runs.

    Raises:
        BundleError: A package could not be fetched or built, or ``builds-not-allowed``.
    """
    built = {one.name: wheel for one in packages if (wheel := find_built_wheel(one, cache)) is not None}
    missing = tuple(one for one in packages if one.name not in built)
    to_build = tuple(one for one in missing if one.kind == "sdist")
    # Before the download: pip builds the metadata of a source distribution that it fetches.
    check_locked_builds(root, to_build, allow_builds)
    wheels = {**built, **fetch_distributions(root, missing, cache, runtime=runtime, report=report)}
    for package in to_build:
        wheels[package.name] = build_wheel(package, wheels[package.name], cache, runtime=runtime, report=report)
    return wheels
