"""Reads ``[dependency-groups]`` of ``pyproject.toml`` (PEP 735): which requirements a group has, with their lines.

https://packaging.python.org/en/latest/specifications/dependency-groups/
"""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name, is_normalized_name

from fnkit.contract.toml_lines import TomlLines
from fnkit.project.element_places import place_of_element
from fnkit.project.model import DependencyGroup, SourceLocation
from fnkit.project.problems import ProblemList, did_you_mean
from fnkit.project.requirements import Requirements, parse_table

_FILE: Final = "pyproject.toml"
_TABLE: Final = "dependency-groups"
_INCLUDE: Final = "include-group"


class InvalidGroup(Exception):
    """Why a group cannot be used.

    Attributes:
        group: The group that is at fault, as the file spells it.
        reason: The reason, as the end of a sentence.
    """

    def __init__(self, group: str, reason: str) -> None:
        super().__init__(reason)
        self.group = group
        self.reason = reason


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A requirement of a group, as it is written, and the group that lists it, as the file spells it."""

    text: str
    group: str


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The table ``[dependency-groups]``.

    Attributes:
        values: The groups as they are written.
        text: The file.
        lines: The places of the groups in it.
        spellings: The valid names of groups as they are written, by their normalized form (PEP 503).
    """

    values: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    lines: TomlLines = field(default_factory=lambda: TomlLines({}))
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The normalized names of the groups."""
        return tuple(self.spellings)

    def entries(self, name: str) -> Iterator[GroupEntry]:
        """Yield the requirements of a group and of those that it includes, each group once.

        Args:
            name: The normalized name.

        Raises:
            InvalidGroup: It does not exist, includes itself, or is not valid.
        """
        finished: set[str] = set()
        opened = [(name, *self._open(name, name))]
        while opened:
            current, spelled, rest = opened[-1]
            entry = next(rest, None)
            if entry is None:
                finished.add(current)
                opened.pop()
            elif isinstance(entry, str):
                yield GroupEntry(entry, spelled)
            elif isinstance(entry, dict) and list(entry) == [_INCLUDE] and isinstance(entry[_INCLUDE], str):
                included = str(canonicalize_name(entry[_INCLUDE]))
                path = [one for one, _, _ in opened]
                if included in path:
                    cycle = " → ".join((*path[path.index(included) :], included))
                    raise InvalidGroup(spelled, f"it includes itself ({cycle})")
                if included not in finished:
                    opened.append((included, *self._open(included, spelled)))
            else:
                raise InvalidGroup(spelled, f"{reprlib.repr(entry)} is neither a requirement nor an included group")

    def _open(self, name: str, included_by: str) -> tuple[str, Iterator[object]]:
        """Return a group's name as the file spells it, and an iterator over its entries."""
        spelled = self.spellings.get(name, ())
        if not spelled:
            raise InvalidGroup(included_by, f"there is no group {name[:80]!r}, which it includes")
        if len(spelled) > 1:
            raise InvalidGroup(spelled[1], f"{spelled[0]} is the same name")
        value = self.values[spelled[0]]
        if not isinstance(value, list):
            raise InvalidGroup(spelled[0], "it is no list")
        return spelled[0], iter(value)

    def location(self, spelled: str) -> SourceLocation:
        """Return the place of a group."""
        place = self.lines.place(spelled)
        return SourceLocation(_FILE, place.line, place.column, place.end_column)


def read_group_table(root: Path) -> GroupTable:
    """Return the dependency groups of a project; none if it has no ``pyproject.toml`` with such a table.

    A file that is not valid TOML has none: reading the settings reports it.
    """
    try:
        text = (root / _FILE).read_text(encoding="utf-8")
        table = tomllib.loads(text).get(_TABLE)
    except (OSError, ValueError, RecursionError):
        return GroupTable()
    if not isinstance(table, dict):
        return GroupTable()
    spellings: dict[str, tuple[str, ...]] = {}
    for name in table:
        with suppress(InvalidName):
            normalized = str(canonicalize_name(name, validate=True))
            spellings[normalized] = (*spellings.get(normalized, ()), name)
    return GroupTable(table, text, TomlLines.from_text(text, (_TABLE,)), spellings)


def read_group(root: Path, table: GroupTable, name: str, problems: ProblemList) -> DependencyGroup:
    """Return a group that functions use, and report everything in it that cannot be used.

    Args:
        root: The project folder.
        table: The groups.
        name: Its normalized name; it exists.
        problems: Receives the problems.
    """
    found: list[tuple[str, SourceLocation]] = []
    try:
        found.extend(
            (entry.text, place_of_element(entry.text, table.text, table.location(entry.group)))
            for entry in table.entries(name)
        )
    except InvalidGroup as invalid:
        message = f"The dependency group {invalid.group} cannot be used: {invalid.reason}."
        hint = f'Write it as in PEP 735: {name} = ["boto3>=1.40"] in [{_TABLE}].'
        problems.add("dependency-group", message, hint, table.location(invalid.group))
    collected = Requirements.collect(parse_table(root, found, problems, name), _FILE)
    return DependencyGroup(name=name, requirements=collected.lines, requirement_sources=collected.sources)


def unknown_group_hint(name: str, table: GroupTable) -> str:
    """Return what to do about the name of a group that does not exist."""
    close = did_you_mean(str(canonicalize_name(name)), table.names)
    if close is not None:
        return close
    if not is_normalized_name(canonicalize_name(name)):
        return "A group's name has letters and digits, with . _ - between them."
    if table.names:
        return f"Add it to [{_TABLE}], or use one of its groups: {', '.join(sorted(table.names))}."
    return f'Add it: {name} = ["boto3>=1.40"] in [{_TABLE}].'


def groups_with_package(root: Path, package: str) -> tuple[str, ...]:
    """Return the normalized names of the groups that list a package, whether or not a function uses them.

    Args:
        root: The project folder.
        package: The package's normalized name.
    """
    table = read_group_table(root)
    return tuple(name for name in table.names if package in _packages(table, name))


def _packages(table: GroupTable, name: str) -> set[str]:
    packages: set[str] = set()
    try:
        for entry in table.entries(name):
            packages.add(str(canonicalize_name(Requirement(entry.text).name)))
    except (InvalidGroup, InvalidRequirement):
        return packages  # it is reported when a function uses the group
    return packages
