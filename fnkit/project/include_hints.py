"""Hints for requirements that are directories: which directory to name in ``include`` instead."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fnkit.project.included_directories import find_repository, relative_to_project

PLACE_HINT: Final = "Use a package from an index, or put the code into the project folder."
"""What to do about a requirement that is a path or a URL, if no directory of it can be included."""
_FILE_URL: Final = re.compile(r"file:(?://(?:localhost)?(?=/))?", re.IGNORECASE)
_EXTRAS: Final = re.compile(r"\[[^\]]*\]$")
_MAX_CHARACTERS: Final = 300


def include_hint(root: Path, folder: Path, text: str, name: str = "") -> str | None:
    """Return the hint for a requirement that is a path; ``None`` if it is no directory that could be included.

    A path of the machine is never shown, only one below the root of the project's repository.

    Args:
        root: The project folder.
        folder: The folder that the path is relative to.
        text: The path, or its ``file:`` URL.
        name: The name of the package, if it is known.
    """
    path = _EXTRAS.sub("", _FILE_URL.sub("", text.strip()).partition(";")[0].strip().strip("\"'"))
    if not path or "\0" in path or "://" in path or len(path) > _MAX_CHARACTERS:
        return None
    directory = Path(os.path.realpath(folder / path))
    repository = find_repository(root)
    project = Path(os.path.realpath(root))
    if repository is None or not directory.is_relative_to(repository) or not directory.is_dir():
        return None
    package = next(_packages(directory, name), None)
    if package is None or project.is_relative_to(package):
        return None
    if package.is_relative_to(project):
        return None  # its files are bundled already
    shown = relative_to_project(root, package)
    return f'Set include = ["{shown}"] in the settings of fnkit, and require what it requires instead.'


def _packages(directory: Path, name: str) -> Iterator[Path]:
    """Yield the directories that may be the package of a source tree, the most likely first."""
    for candidate in dict.fromkeys((name, directory.name)):
        module = re.sub(r"[-.]+", "_", candidate).lower()
        for package in (directory / "src" / module, directory / module):
            if module and package.is_dir():
                yield package
    if any(directory.glob("*.py")):
        yield directory
