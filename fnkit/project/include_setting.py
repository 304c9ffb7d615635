"""The setting ``include``: which directories outside the project's folder its functions may use.

A repository may be a stranger's, and what an included directory contains is uploaded. So a directory must be named
here, and must be part of the same git repository: nothing else of the machine can be included, neither by its path
nor by a symbolic link. Hidden directories are not included either: they hold keys, histories and environments.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.project.element_places import place_of_element
from fnkit.project.included_directories import IncludedDirectory, find_repository
from fnkit.project.model import SourceLocation
from fnkit.project.problems import ProblemList
from fnkit.project.settings import Settings

_RESERVED: Final = {"package": "has the dependencies in archives", "fnkit": "is fnkit's own in archives"}
_UNUSABLE: Final = re.compile(r"[\\\x00-\x1f\x7f]|^[A-Za-z]:")


def read_included(root: Path, settings: Settings, problems: ProblemList) -> tuple[IncludedDirectory, ...]:
    """Return the included directories, sorted by name, and report those that cannot be included.

    Args:
        root: The project folder.
        settings: Its settings.
        problems: Receives the problems, each at the line of its element.
    """
    given = settings.table.include
    if not given:
        return ()
    text = _settings_text(root, settings.file)
    whole = settings.location("include")
    repository = find_repository(root)
    if repository is None:
        message = "include needs a git repository: it is what limits which directories can be included."
        hint = "Run git init in the directory that contains both, or copy the code into the project's folder."
        problems.add("include-outside", message, hint, whole)
        return ()
    found: dict[str, IncludedDirectory] = {}
    for path in given:
        element = _Element(root, repository, path, place_of_element(path, text, whole), problems)
        directory = element.read()
        if directory is None:
            continue
        if (earlier := found.get(directory.name)) is not None:
            message = f"include has two directories named {directory.name}: {earlier.shown} and {directory.shown}."
            element.add("bad-include", message, "Rename one of them: archives have both under that name.")
            continue
        found[directory.name] = directory
    return tuple(found[name] for name in sorted(found))


def _settings_text(root: Path, file: str) -> str:
    try:
        return (root / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # it was read before; without it, problems have the line of the list


@dataclass(frozen=True, slots=True)
class _Element:
    """One element of the list.

    Attributes:
        root: The project folder.
        repository: The root of the repository, without links.
        given: The path, as it stands in the settings.
        place: Where it stands.
        problems: Receives its problems.
    """

    root: Path
    repository: Path
    given: str
    place: SourceLocation
    problems: ProblemList

    def add(self, code: str, message: str, hint: str) -> None:
        """Add a problem of this element."""
        self.problems.add(code, message, hint, self.place)

    def read(self) -> IncludedDirectory | None:
        """Return the directory, or ``None`` after adding a problem."""
        if not self.given or self.given.startswith("/") or _UNUSABLE.search(self.given):
            message = f"include: {self.given!r} is not a path relative to the settings file."
            self.add("bad-include", message, 'Write it with /, as in include = ["../shared"].')
            return None
        shown = posixpath.normpath(self.given)
        project = Path(os.path.realpath(self.root))
        directory = Path(os.path.realpath(project / shown))
        if (fault := _fault(directory)) is not None:
            self.add(
                "bad-include", f"include: {shown} {fault}.", "Name a directory, relative to the settings file."
            )
            return None
        if directory.is_relative_to(project):
            message = f"include: {shown} is in the project's folder, whose files are included anyway."
            self.add("bad-include", message, "Remove it from include.")
            return None
        if project.is_relative_to(directory):
            message = f"include: {shown} contains the project itself."
            self.add("bad-include", message, "Name the directories in it that the project needs.")
            return None
        return self._check_place(shown, directory)

    def _check_place(self, shown: str, directory: Path) -> IncludedDirectory | None:
        if not directory.is_relative_to(self.repository):
            message = f"include: {shown} is outside the git repository of the project."
            hint = "Include directories of the same repository only, or copy the code into the project's folder."
            self.add("include-outside", message, hint)
            return None
        name = posixpath.basename(shown)
        inner = (*directory.relative_to(self.repository).parts, name)
        hidden = next((part for part in inner if part.startswith(".")), None)
        if hidden is not None:
            message = f"include: {shown} leads to the hidden directory {hidden}."
            self.add("bad-include", message, "Move the code to a directory whose name does not start with a dot.")
            return None
        if name in _RESERVED:
            message = f"include: a directory cannot be named {name}, which {_RESERVED[name]}."
            self.add("bad-include", message, "Rename it, or include the directories in it.")
            return None
        return IncludedDirectory(name, directory, shown) if self._is_free(name, shown, directory) else None

    def _is_free(self, name: str, shown: str, directory: Path) -> bool:
        """Return whether the project has nothing of this name, apart from a link to the same directory."""
        for own in (name, f"{name}.py"):
            path = self.root / own
            if not os.path.lexists(path) or (path.is_symlink() and Path(os.path.realpath(path)) == directory):
                continue
            message = f"include: the project has {own} itself, so {shown} cannot have this name."
            self.add("bad-include", message, "Rename one of them: imports and archives have both under that name.")
            return False
        return True


def _fault(directory: Path) -> str | None:
    """Return why a path is not the directory that it should be, or ``None``."""
    try:
        if directory.is_dir():
            return None
        return "is not a directory" if directory.exists() else "does not exist"
    except OSError as error:
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
