"""Finds the dependency groups that provide a module which a function imports and does not have.

A group that functions use is locked, so the wheels in the cache say what it provides. For a group that none uses,
and for wheels that are not in the cache, a package is taken to provide the module of its own name.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from fnkit.bundler.archive.layer import wheel_modules
from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage
from fnkit.errors import BundleError
from fnkit.project.dependency_groups import groups_with_package
from fnkit.project.model import Project


@dataclass(frozen=True, slots=True)
class GroupModules:
    """The modules of a project's dependency groups.

    Attributes:
        lock: The whole lock of a runtime, or ``None`` if there is none.
        cache: The cache of the bundler.
    """

    project: Project
    lock: Lock | None
    cache: Path

    def find(self, module: str) -> tuple[str, ...]:
        """Return the groups that provide a top-level module, sorted, as far as is known."""
        package = str(canonicalize_name(module))
        found = set(groups_with_package(self.project.root, package))
        for one in self.lock.packages if self.lock is not None else ():
            if one.groups and (one.name == package or module in self._modules(one)):
                found.update(one.groups)
        return tuple(sorted(found))

    def _modules(self, package: LockedPackage) -> frozenset[str]:
        # Imported late: needed for a message only, and loads the HTTP client.
        from fnkit.bundler.dependencies.source_builds import find_built_wheel
        from fnkit.bundler.dependencies.wheels import find_fetched_wheel

        wheel = find_fetched_wheel(package, self.cache) or find_built_wheel(package, self.cache)
        if wheel is not None:
            with suppress(BundleError):  # an unusable wheel is reported where it is used
                return wheel_modules(wheel, package.name)
        return frozenset()
