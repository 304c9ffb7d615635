"""Directories outside the project's folder whose files count as part of it, each under its own name.

The setting ``include`` names them. A path such as ``shared/money.py`` is that of an archive; users see where the
file is, ``../../libs/shared/money.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IncludedDirectory:
    """One such directory.

    Attributes:
        name: Its name in archives, which is that of the package that handlers import.
        directory: The directory, without symbolic links in its path.
        shown: Its path relative to the project, as users write it.
    """

    name: str
    directory: Path
    shown: str


def locate_file(root: Path, included: Iterable[IncludedDirectory], path: str) -> Path:
    """Return where the file with a path in an archive is on this machine."""
    name, _, rest = path.partition("/")
    return next((one.directory / rest for one in included if one.name == name), root / path)


def shown_path(included: Iterable[IncludedDirectory], path: str) -> str:
    """Return the path by which users know a file with a path in an archive.

    >>> shown_path([IncludedDirectory("shared", Path("/repo/shared"), "../shared")], "shared/a/b.py")
    '../shared/a/b.py'
    """
    name, separator, rest = path.partition("/")
    return next((f"{one.shown}{separator}{rest}" for one in included if one.name == name), path)


def find_repository(root: Path) -> Path | None:
    """Return the root of the git repository that contains a project, without links; ``None`` if there is none."""
    real = Path(os.path.realpath(root))
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), None)


def relative_to_project(root: Path, target: Path) -> str:
    """Return the path of a directory as the setting has it: relative to the project, with ``/``."""
    return os.path.relpath(target, os.path.realpath(root)).replace(os.sep, "/")
