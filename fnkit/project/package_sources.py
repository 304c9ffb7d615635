"""Reads ``[tool.uv.sources]``: where uv takes packages from that ``pyproject.toml`` requires by name only.

A package that its author takes from a private index or a directory often has a name that is free on a public
index, or belongs to a stranger there. So a source is used, or it is reported, but never ignored.

https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, TypeGuard

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fnkit.project.files import OutsideProject, read_project_text
from fnkit.project.include_hints import PLACE_HINT, include_hint
from fnkit.project.included_directories import find_repository
from fnkit.project.model import SourceLocation
from fnkit.project.problems import ProblemList

_FILE: Final = "pyproject.toml"
_Table: TypeAlias = Mapping[str, object]
_UNUSABLE: Final = (
    ("path", "a directory or a file"),
    ("workspace", "the workspace"),
    ("git", "a repository"),
    ("url", "a URL"),
)
"""The keys of sources that no lock file can have, and what they name."""


@dataclass(frozen=True, slots=True)
class IndexSource:
    """An index that a package is taken from.

    Attributes:
        index: Its name.
        marker: The environments for which it is used (PEP 508); empty for all.
    """

    index: str
    marker: str = ""


PackageIndexes: TypeAlias = Mapping[str, tuple[IndexSource, ...]]
"""Indexes that packages are taken from, by the normalized names of the packages."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Where a package is taken from.

    Attributes:
        indexes: Indexes with names.
        place: What else it is taken from, as the end of a sentence; empty for nothing else.
        hint: What to do about that.
    """

    indexes: tuple[IndexSource, ...] = ()
    place: str = ""
    hint: str = PLACE_HINT


def read_package_sources(root: Path, groups: Collection[str] = ()) -> dict[str, PackageSource]:
    """Return the sources of packages by their normalized names, those of the project's workspace included.

    A file that is not valid has none: reading the settings reports it.

    Args:
        root: The project folder.
        groups: The dependency groups that require the packages, by their normalized names, beside the project. A
            source may be one for a group, or for an extra, which functions do not have.
    """
    project = _uv_settings(root, root)
    workspace = find_workspace(root)
    inherited = _uv_settings(workspace, workspace) if workspace is not None else {}
    found: dict[str, PackageSource] = {}
    for folder, settings in ((workspace or root, inherited), (root, project)):
        sources = settings.get("sources")
        for name, value in (sources if isinstance(sources, dict) else {}).items():
            normalized = str(canonicalize_name(name))
            entries = [one for one in (value if isinstance(value, list) else [value]) if _applies(one, groups)]
            found[normalized] = _read_source(root, folder, normalized, entries)
    return found


def _applies(entry: object, groups: Collection[str]) -> TypeGuard[_Table]:
    if not isinstance(entry, dict) or "extra" in entry:
        return False
    group = entry.get("group")
    return not isinstance(group, str) or canonicalize_name(group) in groups


def _read_source(root: Path, folder: Path, name: str, entries: Sequence[_Table]) -> PackageSource:
    for entry in entries:
        for key, place in _UNUSABLE:
            if entry.get(key):
                return PackageSource(place=place, hint=_hint(root, folder, name, entry) or PLACE_HINT)
    indexes = [
        IndexSource(index, marker if isinstance(marker := entry.get("marker"), str) else "")
        for entry in entries
        if isinstance(index := entry.get("index"), str)
    ]
    return PackageSource(indexes=tuple(dict.fromkeys(indexes)))


def _hint(root: Path, folder: Path, name: str, entry: _Table) -> str | None:
    """Return the hint that names the directory to include, if the source is one of the project's repository."""
    if isinstance(path := entry.get("path"), str):
        return include_hint(root, folder, path, name)
    members = _members(folder) if entry.get("workspace") else ()
    found = (include_hint(root, member, ".", name) for member in members if _package_name(member) == name)
    return next((hint for hint in found if hint is not None), None)


def check_package_source(
    requirement: str, place: SourceLocation, sources: Mapping[str, PackageSource], problems: ProblemList
) -> None:
    """Report a requirement of ``pyproject.toml`` whose package is no package of an index."""
    name = Requirement(requirement).name
    source = sources.get(str(canonicalize_name(name)))
    if source is not None and source.place:
        problems.add("requirement-place", unusable_source(name, source), source.hint, place)


def unusable_source(name: str, source: PackageSource) -> str:
    """Return the message for a package that is taken from a place that has no package of an index."""
    return f"{name} is taken from {source.place} by [tool.uv.sources]."


def required_names(requirements: Iterable[str]) -> set[str]:
    """Return the normalized names of the packages that valid requirements name."""
    return {str(canonicalize_name(Requirement(line).name)) for line in requirements}


def select_indexes(requirements: Iterable[str], sources: Mapping[str, PackageSource]) -> PackageIndexes:
    """Return the indexes of the packages that these requirements name and that are taken from certain indexes."""
    names = sorted(required_names(requirements))
    return {name: sources[name].indexes for name in names if name in sources and sources[name].indexes}


def find_workspace(root: Path) -> Path | None:
    """Return the root of the workspace of uv that a project is a member of; ``None`` if it is in none, or its root.

    Only directories of the project's repository are looked at.
    """
    project = Path(os.path.realpath(root))
    repository = find_repository(root)
    if repository is None:
        return None
    for folder in project.parents:
        if not folder.is_relative_to(repository):
            return None
        if _workspace_table(folder):
            return folder if project in _members(folder) else None
    return None


def _members(workspace: Path) -> Iterator[Path]:
    """Yield the directories of the members of a workspace."""
    patterns = _workspace_table(workspace).get("members")
    for pattern in patterns if isinstance(patterns, list) else ():
        try:
            yield from (path.resolve() for path in workspace.glob(pattern) if path.is_dir())
        except (ValueError, TypeError, OSError, NotImplementedError, IndexError):
            continue  # an invalid pattern, which uv reports


def _workspace_table(folder: Path) -> _Table:
    table = _uv_settings(folder, folder).get("workspace")
    return table if isinstance(table, dict) else {}


def _package_name(folder: Path) -> str:
    project = _read(folder, folder).get("project")
    name = project.get("name") if isinstance(project, dict) else None
    return str(canonicalize_name(name)) if isinstance(name, str) else ""


def _uv_settings(root: Path, folder: Path) -> _Table:
    tool = _read(root, folder).get("tool")
    settings = tool.get("uv") if isinstance(tool, dict) else None
    return settings if isinstance(settings, dict) else {}


def _read(root: Path, folder: Path) -> _Table:
    try:
        return tomllib.loads(read_project_text(root, folder / _FILE))
    except (OSError, ValueError, RecursionError, OutsideProject):
        return {}
