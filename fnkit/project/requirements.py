"""Reads the requirements of Python functions from ``requirements.txt``, else from ``[project] dependencies``.

The result is a list of PEP 508 requirements for the lock file. fnkit itself is left out, because bundles contain
the parts that handlers use. Package indexes are configured on the machine, not in the project.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from fnkit.contract.distribution import OWN_REQUIREMENTS
from fnkit.contract.toml_lines import TomlLines
from fnkit.project.element_places import place_of_element
from fnkit.project.files import OutsideProject, read_project_text
from fnkit.project.include_hints import PLACE_HINT, include_hint
from fnkit.project.model import SourceLocation
from fnkit.project.package_sources import check_package_source, read_package_sources
from fnkit.project.problems import ProblemList

_REQUIREMENTS_TXT: Final = "requirements.txt"
_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_HASH: Final = re.compile(r"\s+--hash[= ]\S+")
_INCLUDE_OPTION: Final = re.compile(r"(?:-r|--requirement)[ =]?\s*(\S.*)")
_PATH_LIKE: Final = re.compile(r"[.~]{0,2}[/\\]|[a-z+]+:", re.IGNORECASE)
_ARCHIVE_NAME: Final = re.compile(r"[^\s@;]+\.(whl|zip|tar\.gz)$", re.IGNORECASE)
"""Matches a file name. PEP 508 also accepts it as a package name, so it must be checked before parsing."""

_EDITABLE: Final = re.compile(r"(?:-e|--editable)[ =]?\s*(\S.*)")
_PATH_HINT: Final = "Move its code into the project folder, or name its directory in the setting include."
_OPTION_HINTS: Final = (
    (r"-c|--constraint", "Add the bound to the requirement itself, or rely on the lock file."),
    (r"-e|--editable", _PATH_HINT),
    (
        r"-i|--index-url|--extra-index-url|--find-links|-f|--no-index|--trusted-host",
        "Set UV_DEFAULT_INDEX or UV_INDEX.",
    ),
    (r"--no-binary|--only-binary|--prefer-binary", "List packages to build from source in source_builds."),
    (r"--pre", "Name a pre-release in the requirement, as in package>=2.0rc1."),
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """PEP 508 requirements.

    Attributes:
        file: The file that contains them, relative to the project, or ``None``.
        sources: Where each of them stands.
    """

    lines: tuple[str, ...]
    file: str | None
    sources: tuple[SourceLocation, ...] = ()

    @classmethod
    def collect(cls, found: Iterable[tuple[str, SourceLocation]], file: str) -> Requirements:
        """Return the requirements without repetitions."""
        first: dict[str, SourceLocation] = {}
        for line, source in found:
            first.setdefault(line, source)
        return cls(tuple(first), file, tuple(first.values()))


def read_requires_python(root: Path) -> SpecifierSet | None:
    """Return ``requires-python`` of pyproject.toml; ``None`` if it has none that is valid."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return None
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project")
    text = project.get("requires-python") if isinstance(project, dict) else None
    try:
        return SpecifierSet(text) if isinstance(text, str) else None
    except InvalidSpecifier:
        return None


def read_requirements(root: Path, problems: ProblemList) -> Requirements:
    """Read the project's requirements, and report every line that cannot be used."""
    if (root / _REQUIREMENTS_TXT).is_file():
        reader = _RequirementsReader(root, problems)
        reader.read(root / _REQUIREMENTS_TXT, SourceLocation(_REQUIREMENTS_TXT, 1))
        return Requirements.collect(reader.found, _REQUIREMENTS_TXT)
    return _read_pyproject(root, problems)


@dataclass(slots=True)
class _RequirementsReader:
    """Reads a requirements file and the files it includes, each once."""

    root: Path
    problems: ProblemList
    found: list[tuple[str, SourceLocation]] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    def read(self, path: Path, included_from: SourceLocation) -> None:
        """Read one file. If that fails, the problem is reported at ``included_from``."""
        if path.resolve() in self.seen:
            return
        self.seen.add(path.resolve())
        try:
            text = read_project_text(self.root, path)
        except OutsideProject:
            message = f"The requirements file {path.name} lies outside the project."
            self.problems.add("bad-requirement", message, "Copy it into the project folder.", included_from)
            return
        except (OSError, UnicodeDecodeError):
            message = f"The requirements file {self._relative_name(path)} cannot be read."
            self.problems.add("bad-requirement", message, None, included_from)
            return
        for number, line in _logical_lines(text):
            source = SourceLocation(self._relative_name(path), number, *_columns(text.splitlines()[number - 1]))
            include = _INCLUDE_OPTION.fullmatch(line)
            if include:
                self.read(path.parent / include.group(1).strip(), source)
            elif line.startswith("-"):
                _add_option_problem(line, source, self.problems, (self.root, path.parent))
            else:
                requirement = parse_requirement(
                    _HASH.sub("", line), source, self.problems, (self.root, path.parent)
                )
                if requirement is not None:
                    self.found.append((requirement, source))

    def _relative_name(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.name


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines with their numbers: continuation lines joined, comments and blank lines removed."""
    joined, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw)
        start = start or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        whole = (joined + line).strip()
        if whole:
            yield start, whole
        joined, start = "", 0
    if joined.strip():
        yield start, joined.strip()


def _add_option_problem(
    line: str, source: SourceLocation, problems: ProblemList, folders: tuple[Path, Path]
) -> None:
    option = line.split("=", 1)[0].split(maxsplit=1)[0]
    # The message contains only the option: the rest of the line may be a URL with a password.
    hint = next((hint for pattern, hint in _OPTION_HINTS if re.match(rf"(?:{pattern})\b", line)), None)
    editable = _EDITABLE.fullmatch(line)
    if editable is not None:
        hint = include_hint(*folders, editable[1]) or hint
    problems.add(
        "requirement-option", f"fnkit does not support {option[:40]} in a requirements file.", hint, source
    )


def parse_requirement(
    text: str, source: SourceLocation, problems: ProblemList, folders: tuple[Path, Path]
) -> str | None:
    """Return a requirement in PEP 508 format; ``None`` for fnkit itself and for one that is reported.

    Args:
        text: The requirement.
        source: Where it stands.
        problems: Receives its problems.
        folders: The project folder, and the folder that paths are relative to.
    """
    if _ARCHIVE_NAME.match(text):
        _add_location_problem("A requirement here is a file.", source, problems)
        return None
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        if "://" in text or _PATH_LIKE.match(text):
            hint = include_hint(*folders, text)
            _add_location_problem("A requirement here is a path or a URL.", source, problems, hint)
        else:
            hint = "Use a name with versions, as in requests>=2.32."
            problems.add("bad-requirement", f"{text[:80]!r} is not a valid requirement.", hint, source)
        return None
    if requirement.url is not None:
        hint = include_hint(*folders, requirement.url, requirement.name)
        _add_location_problem(f"{requirement.name} is required from a path or a URL.", source, problems, hint)
        return None
    return None if canonicalize_name(requirement.name) in OWN_REQUIREMENTS else str(requirement)


def _add_location_problem(
    message: str, source: SourceLocation, problems: ProblemList, hint: str | None = None
) -> None:
    problems.add("requirement-place", message, hint or PLACE_HINT, source)


def _read_pyproject(root: Path, problems: ProblemList) -> Requirements:
    path = root / "pyproject.toml"
    if not path.is_file():
        return Requirements((), None)
    text = path.read_text(encoding="utf-8")
    project = tomllib.loads(text).get("project", {})
    lines = TomlLines.from_text(text, ("project",))
    if not isinstance(project, dict):
        return Requirements((), None)
    dynamic = project.get("dynamic", [])
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        source = SourceLocation(path.name, lines.line("dynamic"))
        message = (
            "The dependencies in pyproject.toml are dynamic, so they are unknown without building the project."
        )
        problems.add("bad-requirement", message, "List them, or add a requirements.txt.", source)
    given = project.get("dependencies")
    if given is None:
        return Requirements((), None)
    dependencies = lines.place("dependencies")
    source = SourceLocation(path.name, dependencies.line, dependencies.column, dependencies.end_column)
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        problems.add("bad-requirement", "The dependencies are not a list of strings.", None, source)
        return Requirements((), path.name)
    places = ((one, place_of_element(one, text, source)) for one in given)
    return Requirements.collect(parse_table(root, places, problems), path.name)


def parse_table(
    root: Path, texts: Iterable[tuple[str, SourceLocation]], problems: ProblemList, group: str | None = None
) -> Iterator[tuple[str, SourceLocation]]:
    """Yield the requirements of a table of ``pyproject.toml`` that can be used, and report the others.

    Args:
        root: The project folder.
        texts: The requirements as they are written, with their places.
        problems: Receives the problems.
        group: The normalized name of the dependency group that the table is; ``None`` for the project's own.
    """
    listed = tuple(texts)
    sources = read_package_sources(root, () if group is None else (group,)) if listed else {}
    for text, place in listed:
        requirement = parse_requirement(text, place, problems, (root, root))
        if requirement is not None:
            check_package_source(requirement, place, sources, problems)
            yield requirement, place


def _columns(line: str) -> tuple[int, int]:
    """Return the columns of what a line has beside a comment."""
    text = _COMMENT.sub("", line).rstrip()
    return len(text) - len(text.lstrip()) + 1, len(text) + 1
