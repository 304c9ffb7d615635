"""Which files of a project go into its archives.

The walk is pruned: a folder that is left out is never opened. Nothing here depends on git being installed or on
the project being a repository; a test compares the answer with ``git ls-files -co --exclude-standard``.
"""

# One string a file: Path objects would cost several times the walk itself.
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
"""Folders that are never entered, whatever the ignore files say."""

_NEVER_SHIPPED = ".env"
_CONTROL = frozenset(chr(code) for code in (*range(32), 127))


def select_files(
    root: Path, exclude: tuple[str, ...] = (), *, keep: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return the project's files as paths relative to ``root`` with ``/``, sorted by their UTF-8 bytes.

    ``exclude`` holds further patterns in git's syntax; ``keep`` names pruned folders to enter after all (a
    Node function's ``node_modules``). Symbolic links inside the project are followed and shipped as what they
    point to; files named ``.env*`` and saved plans never are.

    Raises:
        BundleError: ``link-outside``, ``link-broken``, ``link-loop``, ``link-secret``, ``file-name``,
            ``unreadable-file``, ``ignore-file``.
    """
    resolved = Path(os.path.realpath(root))
    strongest = [IgnoreLayer("", parse_patterns(exclude, "The setting exclude"))] if exclude else []
    own = read_layer(resolved / ".fnkitignore", "")
    rules = IgnoreRules(
        weakest=IgnoreLayer("", parse_patterns(BUILT_IN, "The built-in patterns")),
        middle=layers_above(resolved),
        strongest=tuple(strongest if own is None else [*strongest, own]),
    )
    walk = _Walk(resolved, PRUNED - keep)
    files = (path for path in walk.files("", rules, ()) if not is_saved_plan(resolved, path))
    return tuple(sorted(files, key=os.fsencode))


class _Walk:
    """One pass over a project's tree."""

    def __init__(self, root: Path, pruned: frozenset[str]) -> None:
        self._root = os.fspath(root)
        self._pruned = pruned

    def files(self, base: str, rules: IgnoreRules, linked: tuple[str, ...]) -> Iterator[str]:
        """Yield the selected files under ``base`` (``""`` or ``"a/b/"``); ``linked``: real folders come through."""
        entries = self._entries(base)
        here = rules
        if any(entry.name == ".gitignore" for entry in entries):
            here = rules.entering(read_layer(Path(self._root, base, ".gitignore"), base))
        for entry in entries:
            path = base + entry.name
            if entry.is_symlink():
                yield from self._linked(path, here, linked)
            elif entry.is_dir(follow_symlinks=False):
                if self._enters(path, here):
                    yield from self.files(path + "/", here, linked)
            elif entry.is_file(follow_symlinks=False) and self._takes(path, here):
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
        """Follow a symbolic link: git lists it as a file, so rules for folders do not leave it out."""
        name = path.rpartition("/")[2]
        if name in self._pruned or name.startswith(_NEVER_SHIPPED) or rules.leaves_out(path, folder=False):
            return
        _check_name(path)
        real = self._inside(path)
        if os.path.isdir(real):
            if rules.leaves_out(path, folder=True):
                return
            if real in linked or f"{os.path.join(self._root, path)}/".startswith(f"{real}/"):
                raise BundleError(
                    f"The symbolic link {path} leads back to a folder that holds it.",
                    code="link-loop",
                    hint="Remove the link, or name it in .fnkitignore.",
                )
            yield from self.files(path + "/", rules, (*linked, real))
        elif os.path.isfile(real) and self._takes(path, rules):
            yield path

    def _inside(self, path: str) -> str:
        """Return where a link leads; outside the project, nowhere, or to a secret is refused."""
        full = os.path.join(self._root, path)
        try:
            real = os.path.realpath(full, strict=True)
        except OSError as error:
            raise BundleError(
                f"The symbolic link {path} leads nowhere.",
                code="link-broken",
                hint="Remove the link, or name it in .fnkitignore.",
            ) from error
        if os.path.commonpath((self._root, real)) != self._root:
            raise BundleError(
                f"The symbolic link {path} leads out of the project.",
                code="link-outside",
                hint="Copy what it points to into the project, or name the link in .fnkitignore.",
            )
        if os.path.basename(real).startswith(_NEVER_SHIPPED):
            raise BundleError(
                f"The symbolic link {path} leads to a file named {os.path.basename(real)}, which never ships.",
                code="link-secret",
                hint="Declare secrets by name and read them from the environment.",
            )
        return real


def _check_name(path: str) -> None:
    """Refuse names that an archive cannot carry everywhere."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad_name(path, "is not valid UTF-8") from error
    if not _CONTROL.isdisjoint(path):
        raise _bad_name(path, "holds a control character")
    if "\\" in path:
        raise _bad_name(path, "holds a backslash, which some systems read as a folder")


def _bad_name(path: str, why: str) -> BundleError:
    return BundleError(
        f"The file name {path!a} {why}.",
        code="file-name",
        hint="Rename the file, or name it in .fnkitignore.",
    )


def _unreadable(path: str, error: OSError) -> BundleError:
    return BundleError(
        f"{path} cannot be read: {(error.strerror or str(error)).lower()}.",
        code="unreadable-file",
        hint="Give yourself the right to read it, or name it in .fnkitignore.",
    )
