"""Builds a project's deployment archives: file selection, lock files, wheels, dependency layers and slices.

``docs/bundling.md`` describes the formats and the rules.
"""

from fnkit.bundler.bundle import Bundle, Dependency, Slice
from fnkit.bundler.bundling import bundle_project, lock_project
from fnkit.bundler.lock import Lock, LockedPackage, lock_path, read_lock
from fnkit.bundler.locking import ResolverBackend, TargetKind
from fnkit.bundler.progress import BundleProgress
from fnkit.bundler.selection import select_files
from fnkit.bundler.target import BundleTarget

__all__ = [
    "ResolverBackend",
    "Bundle",
    "BundleProgress",
    "Dependency",
    "TargetKind",
    "Lock",
    "LockedPackage",
    "Slice",
    "BundleTarget",
    "bundle_project",
    "lock_path",
    "lock_project",
    "read_lock",
    "select_files",
]
