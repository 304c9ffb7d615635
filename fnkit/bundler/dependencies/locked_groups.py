"""Which packages of a lock belong to which dependency groups.

All requirements of a lock are resolved together, so that a package has one version in all functions. Then each
group is resolved once more, with the project's requirements and these versions: what it needs besides them is the
group's. What several groups need together is what they need one by one, since with fixed versions a package is
needed if a chain of requirements leads to it. So no combination of groups has to be resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage, invalid_lock_error
from fnkit.bundler.dependencies.resolver import ResolutionRequest
from fnkit.project.model import DependencyGroup, Project, SourceLocation

NamesResolver: TypeAlias = Callable[[ResolutionRequest], frozenset[str]]
"""Returns the names of the packages that requirements need, with the request's constraints."""


def all_requirements(project: Project, groups: Iterable[DependencyGroup]) -> dict[str, SourceLocation | None]:
    """Return the requirements of the project and of these groups, each once, with the first place of each."""
    listed = [(project.requirements, project.requirement_sources)]
    listed += [(group.requirements, group.requirement_sources) for group in groups]
    places: dict[str, SourceLocation | None] = {}
    for lines, sources in listed:
        for index, line in enumerate(lines):
            places.setdefault(line, sources[index] if index < len(sources) else None)
    return places


def assign_groups_to_packages(
    packages: tuple[LockedPackage, ...],
    project: Project,
    groups: tuple[DependencyGroup, ...],
    request: ResolutionRequest,
    resolve_names: NamesResolver,
) -> tuple[LockedPackage, ...]:
    """Return the packages with the groups that need them; those that the project itself needs have none.

    Args:
        packages: The resolution of all requirements together.
        project: The project.
        groups: The groups of the lock.
        request: The request that was resolved.
        resolve_names: The backend.

    Raises:
        BundleError: The index has changed since the resolution, or did not answer.
    """

    def needed(requirements: Iterable[str]) -> frozenset[str]:
        lines = tuple(dict.fromkeys(requirements))
        if not lines:
            return frozenset()
        return resolve_names(
            replace(
                request,
                requirements=lines,
                requirement_sources=(),
                preferred=(),
                upgrade=False,
                constraints=packages,
            )
        )

    base = needed(project.requirements)
    by_group = {
        group.name: needed((*project.requirements, *group.requirements)) - base
        for group in groups
        if not set(group.requirements) <= set(project.requirements)
    }
    return tuple(
        replace(package, groups=tuple(name for name, names in by_group.items() if package.name in names))
        for package in packages
    )


def check_locked_groups(lock: Lock, project: Project, groups: tuple[DependencyGroup, ...]) -> None:
    """Reject a lock that was edited so that a function would lack a package that it requires.

    Raises:
        BundleError: ``lock-file``.
    """
    if lock.groups != tuple(group.name for group in groups):
        raise invalid_lock_error(lock.path, "its dependency groups are not those of the functions")
    if not groups:
        return
    for requirements, name in ((project.requirements, ""), *((group.requirements, group.name) for group in groups)):
        found = {one.name for one in lock.select((name,)).packages}
        missing = sorted(_unconditional(requirements) - found)
        if missing:
            owner = f"the group {name}" if name else "the project"
            raise invalid_lock_error(lock.path, f"{owner} requires {missing[0]}, and it has no such package")


def _unconditional(requirements: Iterable[str]) -> set[str]:
    """Return the names of the packages that are required on every machine."""
    names: set[str] = set()
    for line in requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # the resolver reports it
        if requirement.marker is None:
            names.add(str(canonicalize_name(requirement.name)))
    return names
