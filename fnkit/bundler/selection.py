"""Selects the files of a project that go into its archives.

Ignored directories are never opened. git need not be installed and the project need not be a repository; a test
compares the result with ``git ls-files -co --exclude-standard``. Saved plans are recognised and left out.
"""

# Paths are strings here: Path objects would cost several times the walk itself.
# ruff: noqa: PTH110, PTH112, PTH113, PTH118, PTH119
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fnkit.bundler.ignoring import (
    BUILT_IN,
    IgnoreLayer,
    IgnoreRules,
    layers_above,
    parse_patterns,
    read_layer,
)
from fnkit.bundler.saved_plans import is_saved_plan
from fnkit.errors import BundleError

__all__ = ["PRUNED", "select_files"]

PRUNED = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache",
        ".ruff_cache", ".pytest_cache", ".hypothesis", ".tox", ".nox", ".eggs", ".fnkit", ".ipynb_checkpoints",
    }
)  # fmt: skip
"""Directories that are never entered, whatever the ignore files contain."""

_NEVER_SHIPPED = ".env"
_CONTROL = frozenset(chr(code) for code in (*range(32), 127))


def select_files(
    root: Path, exclude: tuple[str, ...] = (), *, keep: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return the project's files as paths relative to ``root`` with ``/``, sorted by their UTF-8 bytes.

    Symbolic links inside the project are followed and shipped as their targets. Files named ``.env*`` and saved
    plans are never selected.

    Args:
        root: The project's directory.
        exclude: Further patterns in git's syntax.
        unpruned: Pruned directories to enter nevertheless, for example ``node_modules`` for a Node function.

    Raises:
        BundleError: ``link-outside``, ``link-broken``, ``link-loop``, ``link-secret``, ``file-name``,
            ``unreadable-file``, ``ignore-file``.
    """
    resolved = Path(os.path.realpath(root))
    strongest = [IgnoreLayer("", parse_patterns(exclude, "The setting exclude"))] if exclude else []
    project_file = read_layer(resolved / ".fnkitignore", "")
    rules = IgnoreRules(
        weakest=IgnoreLayer("", parse_patterns(BUILT_IN, "The built-in patterns")),
        middle=layers_above(resolved),
        strongest=tuple(strongest if project_file is None else [*strongest, project_file]),
    )
    walk = _Walk(resolved, PRUNED - keep)
    files = (path for path in walk.files("", rules, ()) if not is_saved_plan(resolved, path))
    return tuple(sorted(files, key=os.fsencode))


class _Walk:
    """One pass over a project's directories."""

    def __init__(self, root: Path, pruned: frozenset[str]) -> None:
        self._root = os.fspath(root)
        self._pruned = pruned

    def files(self, base: str, rules: IgnoreRules, linked: tuple[str, ...]) -> Iterator[str]:
        """Yield the selected files under ``base``.

        Args:
            base: ``""`` or ``"a/b/"``.
            rules: The ignore rules that apply in ``base``.
            linked_directories: Real paths of the linked directories on the way here, to detect loops.
        """
        entries = self._entries(base)
        active_rules = rules
        if any(entry.name == ".gitignore" for entry in entries):
            active_rules = rules.entering(read_layer(Path(self._root, base, ".gitignore"), base))
        for entry in entries:
            path = base + entry.name
            if entry.is_symlink():
                yield from self._linked(path, active_rules, linked)
            elif entry.is_dir(follow_symlinks=False):
                if self._enters(path, active_rules):
                    yield from self.files(path + "/", active_rules, linked)
            elif entry.is_file(follow_symlinks=False) and self._takes(path, active_rules):
                yield path

    def _entries(self, base: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(self._root, base)) as entries:
                return list(entries)
        except OSError as error:
            raise _unreadable(base.rstrip("/") or ".", error) from error

    def _enters(self, path: str, rules: IgnoreRules) -> bool:
        name = path.rpartition("/")[2]
        if name in self._pruned or rules.leaves_out(path, folder=True):
            return False
        _check_name(path)
        # Every virtual environment has this file at its root, whatever the directory's name.
        return not os.path.exists(os.path.join(self._root, path, "pyvenv.cfg"))

    def _takes(self, path: str, rules: IgnoreRules) -> bool:
        name = path.rpartition("/")[2]
        if name.startswith(_NEVER_SHIPPED) or rules.leaves_out(path, folder=False):
            return False
        _check_name(path)
        if not os.access(os.path.join(self._root, path), os.R_OK):
            raise _unreadable(path, PermissionError(13, "permission denied"))
        return True

    def _linked(self, path: str, rules: IgnoreRules, linked: tuple[str, ...]) -> Iterator[str]:
        """Follow a symbolic link.

        git lists a link as a file, so a pattern for directories (``name/``) does not ignore the link itself.
        """
        name = path.rpartition("/")[2]
        if name in self._pruned or name.startswith(_NEVER_SHIPPED) or rules.leaves_out(path, folder=False):
            return
        _check_name(path)
        target = self._inside(path)
        if os.path.isdir(target):
            if rules.leaves_out(path, folder=True):
                return
            if target in linked or f"{os.path.join(self._root, path)}/".startswith(f"{target}/"):
                raise BundleError(
                    f"The symbolic link {path} points to a directory that contains it.",
                    code="link-loop",
                    hint="Remove the link, or list it in .fnkitignore.",
                )
            yield from self.files(path + "/", rules, (*linked, target))
        elif os.path.isfile(target) and self._takes(path, rules):
            yield path

    def _inside(self, path: str) -> str:
        """Return the real path of a link's target.

        Raises:
            BundleError: ``link-broken``, ``link-outside``, ``link-secret``.
        """
        full = os.path.join(self._root, path)
        try:
            target = os.path.realpath(full, strict=True)
        except OSError as error:
            raise BundleError(
                f"The target of the symbolic link {path} does not exist.",
                code="link-broken",
                hint="Remove the link, or list it in .fnkitignore.",
            ) from error
        if os.path.commonpath((self._root, target)) != self._root:
            raise BundleError(
                f"The symbolic link {path} points outside the project.",
                code="link-outside",
                hint="Copy its target into the project, or list the link in .fnkitignore.",
            )
        if os.path.basename(target).startswith(_NEVER_SHIPPED):
            raise BundleError(
                f"The symbolic link {path} points to {os.path.basename(target)}, which is never shipped.",
                code="link-secret",
                hint="Declare secrets by name and read them from the environment.",
            )
        return target


def _check_name(path: str) -> None:
    """Reject names that some unpackers or file systems cannot represent."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad_name(path, "is not valid UTF-8") from error
    if not _CONTROL.isdisjoint(path):
        raise _bad_name(path, "contains a control character")
    if "\\" in path:
        raise _bad_name(path, "contains a backslash, which some systems treat as a separator")


def _bad_name(path: str, why: str) -> BundleError:
    return BundleError(
        f"The file name {path!a} {why}.",
        code="file-name",
        hint="Rename the file, or list it in .fnkitignore.",
    )


def _unreadable(path: str, error: OSError) -> BundleError:
    return BundleError(
        f"{path} cannot be read: {(error.strerror or str(error)).lower()}.",
        code="unreadable-file",
        hint="Make it readable, or list it in .fnkitignore.",
    )
