"""Reads a directory that a package manager or a build has filled: bounded, and no link is followed out of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fnkit.bundler.archive.zip_format import MAX_ENTRIES
from fnkit.bundler.files.content import FileContent, hash_file
from fnkit.bundler.files.selection import check_file_name
from fnkit.contract.limits import UNPACKED_MAX_BYTES
from fnkit.errors import BundleError

_MAX_DIRECTORIES: Final = 100_000


def read_tree(base: Path, name: str, *, skip: Callable[[str], bool]) -> dict[str, FileContent]:
    """Return the content of a directory's files by their paths relative to it.

    Links within the directory count as what they point to. Links that leave it, that lead nowhere or to a directory
    around them are left out, and so are sockets, pipes and devices.

    Args:
        base: The directory.
        name: Its name in error messages.
        skip: Called with each path, which ends with ``/`` for a directory; returns whether to leave it out.

    Raises:
        BundleError: ``too-many-files``, ``archive-too-large``, ``file-name``, ``unreadable-file``.
    """
    found: dict[str, FileContent] = {}
    size = 0
    for path, file in _TreeWalk(base, name, skip).files():
        check_file_name(path)
        found[path] = hash_file(Path(file), path)
        size += found[path].size
        if len(found) > MAX_ENTRIES:
            raise _too_many_error(name, MAX_ENTRIES)
        if size > UNPACKED_MAX_BYTES:
            raise BundleError(
                f"{name} contains more than {UNPACKED_MAX_BYTES >> 20} MiB, the limit of an archive.",
                code="archive-too-large",
                hint="Depend on fewer packages, or exclude files with .fnkitignore.",
            )
    return found


class _TreeWalk:
    """One pass over a directory."""

    def __init__(self, base: Path, name: str, skip: Callable[[str], bool]) -> None:
        self._base = os.path.realpath(base)
        self._name = name
        self._skip = skip
        self._directories = 0

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the path of each file and where its content is."""
        return self._below(self._base, "", (self._base,))

    def _below(self, directory: str, prefix: str, around: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        self._directories += 1
        if self._directories > _MAX_DIRECTORIES:
            raise _too_many_error(self._name, _MAX_DIRECTORIES)
        try:
            with os.scandir(directory) as listed:
                entries = sorted(listed, key=lambda one: os.fsencode(one.name))
        except OSError:
            return
        for entry in entries:
            path = prefix + entry.name
            target = self._target(entry)
            if target is None:
                continue
            if entry.is_dir():
                if target not in around and not self._skip(path + "/"):
                    yield from self._below(target, path + "/", (*around, target))
            elif entry.is_file() and not self._skip(path):
                yield path, target

    def _target(self, entry: os.DirEntry[str]) -> str | None:
        """Return where an entry leads; ``None`` for a link out of the directory."""
        if not entry.is_symlink():
            return entry.path
        target = os.path.realpath(entry.path)
        return target if os.path.commonpath((self._base, target)) == self._base else None


def _too_many_error(name: str, limit: int) -> BundleError:
    return BundleError(
        f"{name} contains more than {limit} files.",
        code="too-many-files",
        hint="Depend on fewer packages, or exclude files with .fnkitignore.",
    )
