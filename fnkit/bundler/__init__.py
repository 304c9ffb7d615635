"""Builds a project's deployment archives: file selection, lock files, wheels, dependency layers and slices.

``docs/bundling.md`` describes the formats and the rules.
"""

from fnkit.bundler.bundle import bundle_project, lock_project
from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage, lock_path, read_lock
from fnkit.bundler.dependencies.locking import ResolverBackend, TargetKind
from fnkit.bundler.files.selection import select_files
from fnkit.bundler.model import Bundle, BundleProgress, Dependency, Slice
from fnkit.bundler.target import BundleTarget

__all__ = [
    "Bundle",
    "BundleProgress",
    "BundleTarget",
    "Dependency",
    "Lock",
    "LockedPackage",
    "ResolverBackend",
    "Slice",
    "TargetKind",
    "bundle_project",
    "lock_path",
    "lock_project",
    "read_lock",
    "select_files",
]
