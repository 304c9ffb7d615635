"""Where the symbolic links of a project may lead: into its folder and into included directories, to no secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fnkit.bundler.files import ignore
from fnkit.bundler.files.secret_files import DOTENV_PREFIX, is_secret_directory, is_secret_file
from fnkit.errors import BundleError
from fnkit.project.included_directories import IncludedDirectory, find_repository, relative_to_project

_HISTORY: Final = ".git"
"""Its settings may have the credentials of a remote repository."""


class LinkTargets:
    """The directories that links of a project may lead into.

    Args:
        root: The project's directory, without links in its path.
        included: The included directories.
    """

    def __init__(self, root: Path, included: Iterable[IncludedDirectory]) -> None:
        self._root = root
        self._bases = {os.fspath(root): "", **{os.fspath(one.directory): f"{one.name}/" for one in included}}

    def resolve(self, link: str, path: str) -> str:
        """Return the real path of a link's target.

        Args:
            link: The link.
            path: Its path in error messages.

        Raises:
            BundleError: ``link-broken``, ``link-outside``.
        """
        try:
            target = os.path.realpath(link, strict=True)
        except OSError as error:
            raise BundleError(
                f"The target of the symbolic link {path} does not exist.",
                code="link-broken",
                hint="Remove the link, or list it in .fnkitignore.",
            ) from error
        if self._archive_path(target) is None:
            raise self._outside_error(path, target)
        return target

    def is_included(self, target: str) -> bool:
        """Return whether a target of a link is in an included directory."""
        top = self._top(target)
        return top is not None and bool(self._bases[top])

    def check_secret(self, path: str, target: str, rules: ignore.IgnoreRules, *, shown: str) -> None:
        """Reject a link under a harmless name to what does not ship under its own.

        Args:
            path: The path of the link in archives.
            target: Its target.
            rules: The ignore rules that apply to the link.
            shown: The path of the link in error messages.

        Raises:
            BundleError: ``link-secret``.
        """
        location = self._archive_path(target) or ""
        *directories, name = location.split("/")
        if name.startswith(DOTENV_PREFIX):
            raise BundleError(
                f"The symbolic link {shown} points to {name}, which is never shipped.",
                code="link-secret",
                hint="Declare secrets by name and read them from the environment.",
            )
        is_directory = Path(target).is_dir()
        is_secret = is_secret_directory(name) if is_directory else is_secret_file(name)
        around = directories if not is_directory else (*directories, name)
        if not is_secret and _HISTORY not in around and not any(map(is_secret_directory, directories)):
            return
        if not rules.names(path, is_directory=False) and not rules.names(location, is_directory=is_directory):
            raise BundleError(
                f"The symbolic link {shown} points to {location}, which usually contains secrets.",
                code="link-secret",
                hint=f"Remove the link, or name it in .fnkitignore with the line !{path}.",
            )

    def _top(self, target: str) -> str | None:
        """Return the innermost of the directories that contain a target, or ``None``."""
        around = [one for one in self._bases if target == one or target.startswith(one.rstrip(os.sep) + os.sep)]
        return max(around, key=len, default=None)

    def _archive_path(self, target: str) -> str | None:
        top = self._top(target)
        if top is None:
            return None
        return (self._bases[top] + os.path.relpath(target, top).replace(os.sep, "/")).removesuffix("/.")

    def _outside_error(self, path: str, target: str) -> BundleError:
        message = f"The symbolic link {path} points outside the project."
        directory = self._includable(target)
        if directory is None:
            return BundleError(
                message,
                code="link-outside",
                hint="Copy its target into the project, or list the link in .fnkitignore.",
            )
        return BundleError(
            message,
            code="link-outside",
            hint=f'Set include = ["{directory}"] to use it, or list the link in .fnkitignore.',
        )

    def _includable(self, target: str) -> str | None:
        """Return what to include for a target, as the setting has it; ``None`` if it cannot be included."""
        directory = Path(target) if Path(target).is_dir() else Path(target).parent
        repository = find_repository(self._root)
        if repository is None or not directory.is_relative_to(repository):
            return None
        is_hidden = any(part.startswith(".") for part in directory.relative_to(repository).parts)
        return (
            None
            if is_hidden or self._root.is_relative_to(directory)
            else relative_to_project(self._root, directory)
        )
