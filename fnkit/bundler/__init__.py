"""Builds a project's deployment archives: file selection, lock files, wheels, dependency layers and slices.

``docs/bundling.md`` describes the formats and the rules.
"""

from fnkit.bundler.builds.permission import AllowBuildsCallback, BuildRequest, refuse_builds
from fnkit.bundler.bundle import bundle_project, lock_project
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import ResolverBackend
from fnkit.bundler.model import Bundle, BundleProgress

__all__ = [
    "AllowBuildsCallback",
    "BuildRequest",
    "Bundle",
    "BundleProgress",
    "Lock",
    "ResolverBackend",
    "bundle_project",
    "lock_project",
    "refuse_builds",
]
