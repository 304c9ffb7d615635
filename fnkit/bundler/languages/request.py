"""What the bundler of a language is asked for: one archive, and a slice for each selected function in it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.dependencies.locking import TargetKind
from fnkit.bundler.files.content import ContentByPath
from fnkit.bundler.files.selection import Selection, SelectionRules
from fnkit.bundler.model import Bundle, ProgressCallback
from fnkit.bundler.target import BundleTarget
from fnkit.project.model import BuildCommand, FunctionSpec, Project


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """One archive of a project: of the functions with the same runtime, folder, build and dependency groups.

    Attributes:
        group: All these functions, the selected ones and the others. Not empty.
        functions: The selected ones, which get a slice.
        kind: Which lock files to use.
        out: Directory for archives.
        cache: Directory for wheels, layers and results of builds.
        report: Called at each step.
        allow_builds: Called before code of the project or of its packages runs.
        select: Selects files of the project; equal rules walk its directories once.
        python_files: Returns the content of the files that Python archives share, and what was withheld from them.
        run_builds: Whether a command may run at all. Otherwise an archive that needs one is planned, not written.
        write_archive: Whether the archive itself is wanted, not only the description of its content.
    """

    project: Project
    group: tuple[FunctionSpec, ...]
    functions: tuple[FunctionSpec, ...]
    target: BundleTarget
    kind: TargetKind
    out: Path
    cache: Path
    report: ProgressCallback
    allow_builds: AllowBuildsCallback
    run_builds: bool
    select: Callable[[SelectionRules], Selection]
    python_files: Callable[[], tuple[ContentByPath, tuple[str, ...]]]
    write_archive: bool = True

    @property
    def root(self) -> str:
        """The folder of the functions' code, relative to the project; ``.`` for the whole project."""
        return self.group[0].root

    @property
    def folder(self) -> Path:
        """The folder of the functions' code."""
        return self.project.root / self.root

    @property
    def build(self) -> BuildCommand | None:
        """The declared build."""
        return self.group[0].build

    @property
    def groups(self) -> tuple[str, ...]:
        """The dependency groups of the functions."""
        return self.group[0].groups

    def project_path(self, path: str) -> str:
        """Return the path relative to the project of a path relative to the functions' folder."""
        return path if self.root == "." else f"{self.root}/{path}"


def leaves_folder(folder: str, target: str) -> bool:
    """Return whether a path in a folder, which is in the functions' folder, leads out of the functions' folder.

    >>> leaves_folder("api", "../shared")
    False
    >>> leaves_folder("", "../shared")
    True
    """
    joined = posixpath.normpath(posixpath.join(folder, target))
    return joined.startswith(("/", "../")) or joined == ".."


LanguageBundler = Callable[[BundleRequest], Bundle]
