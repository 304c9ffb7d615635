"""Compares installed distributions with advisories: ``python -m tests.support.advisories DATABASE``.

The database is a directory of JSON files in the OSV format (https://ossf.github.io/osv-schema/), such as the
unpacked PyPI export of osv.dev. Nothing is fetched. The exit code is 1 if a distribution is affected, and 2 if
there are no advisories, or one cannot be read: a check that did not happen must not look like a good one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


class _Event(msgspec.Struct, frozen=True):
    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None


class _Range(msgspec.Struct, frozen=True):
    type: str
    events: list[_Event] = []


class _Package(msgspec.Struct, frozen=True):
    ecosystem: str
    name: str


class _Affected(msgspec.Struct, frozen=True):
    package: _Package | None = None
    versions: list[str] = []
    ranges: list[_Range] = []


class Advisory(msgspec.Struct, frozen=True):
    """One advisory, as far as it is used here."""

    id: str
    summary: str = ""
    aliases: list[str] = []
    withdrawn: str | None = None
    affected: list[_Affected] = []


class DatabaseError(Exception):
    """The directory has no advisories, or one that cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """An installed distribution that an advisory applies to."""

    name: str
    version: str
    advisory: str
    summary: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}: {self.advisory}: {self.summary or 'no summary'}"


def read_advisories(directory: Path) -> list[Advisory]:
    """Return the advisories in all JSON files below the directory.

    Raises:
        DatabaseError: There is none, or a file cannot be read.
    """
    found = []
    for path in sorted(directory.rglob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Advisory))
        except (OSError, msgspec.DecodeError) as error:
            raise DatabaseError(f"{path} is not an OSV advisory: {error}") from error
    if not found:
        raise DatabaseError(f"{directory} contains no advisories (*.json in the OSV format).")
    return found


def installed_versions() -> dict[str, str]:
    """Return the versions of all distributions in this environment by normalized name."""
    return {str(canonicalize_name(one.metadata["Name"])): one.version for one in distributions()}


def find_affected(installed: Mapping[str, str], advisories: Iterable[Advisory]) -> list[Finding]:
    """Return what applies to the installed versions, sorted."""
    return sorted(
        Finding(name, installed[name], " ".join([advisory.id, *advisory.aliases]), advisory.summary)
        for advisory in advisories
        if advisory.withdrawn is None
        for name in {
            name for name, affected in _python_packages(advisory) if _applies(installed.get(name), affected)
        }
    )


def _python_packages(advisory: Advisory) -> Iterator[tuple[str, _Affected]]:
    for affected in advisory.affected:
        if affected.package is not None and affected.package.ecosystem.partition(":")[0] == "PyPI":
            yield str(canonicalize_name(affected.package.name)), affected


def _applies(version: str | None, affected: _Affected) -> bool:
    if version is None:
        return False
    return version in affected.versions or any(
        _is_in_range(version, one) for one in affected.ranges if one.type == "ECOSYSTEM"
    )


def _is_in_range(version: str, affected: _Range) -> bool:
    """Evaluate the events of a range in the order of their versions, as the specification of OSV describes.

    Versions that cannot be compared count as affected, so that they are reviewed.
    """
    is_affected = False
    try:
        installed = Version(version)
        for boundary, kind in sorted(one for event in affected.events for one in _boundaries(event)):
            if kind == "introduced" and installed >= boundary:
                is_affected = True
            elif (kind == "fixed" and installed >= boundary) or (kind == "last_affected" and installed > boundary):
                is_affected = False
    except InvalidVersion:
        return True
    return is_affected


def _boundaries(event: _Event) -> Iterator[tuple[Version, str]]:
    if event.introduced is not None:
        yield Version("0.dev0" if event.introduced == "0" else event.introduced), "introduced"
    if event.fixed is not None:
        yield Version(event.fixed), "fixed"
    if event.last_affected is not None:
        yield Version(event.last_affected), "last_affected"


def main(arguments: list[str]) -> int:
    """Print what applies, and return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("Name a directory of OSV advisories: make audit DATABASE=DIR\n")
        return 2
    installed = installed_versions()
    try:
        advisories = read_advisories(Path(arguments[0]))
        findings = find_affected(installed, advisories)
    except DatabaseError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    lines = [
        *map(str, findings),
        f"{len(installed)} distributions, {len(advisories)} advisories, {len(findings)} findings",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
