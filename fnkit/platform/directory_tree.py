"""Removes and reads directory trees whose content strangers have chosen.

Handlers, archives and builds can nest directories to any depth, take away permissions and replace directories by
links while a tree is read. ``shutil.rmtree`` and ``os.walk`` raise ``RecursionError`` for deep trees (CPython up to
3.12 and 3.11) and use paths, which end at 4,096 bytes. Everything here works relative to open directories, never
follows a link, uses no recursion and a bounded number of descriptors.
"""

# Plain os calls: a tree may have millions of entries, and these functions take descriptors.
# ruff: noqa: PTH106, PTH108

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]

_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_ACCESS_TIME: Final[int] = getattr(os, "O_NOATIME", 0)
_PATH_FLAG: Final[int] = getattr(os, "O_PATH", os.O_RDONLY)
_BATCH_ENTRIES: Final = 4096
"""Entries that are read before any of them is removed."""
_MAX_OPEN_DIRECTORIES: Final = 64
"""Levels of a tree whose directories are held open while it is walked; deeper ones are reopened through ``..``."""


class TreeChanged(Exception):
    """A directory below 64 levels was moved while the tree was walked, so that the walk cannot go on."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """An entry of a tree. ``parent`` is the descriptor of its directory, valid until the next entry is taken."""

    parent: int
    name: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether the entry is a directory; a link to one is not."""
        return stat.S_ISDIR(self.status.st_mode)


def remove_tree(path: StrPath) -> bool:
    """Remove a file, a link or a directory with everything in it, and return whether nothing is left.

    Never raises ``OSError``. Directories without permissions are made accessible first. What cannot be removed, for
    example a mount point, stays. Subdirectories are moved to the top of the tree before they are emptied, so depth
    costs neither stack nor descriptors.
    """
    try:
        top = _open_directory(os.fspath(path), None)
    except OSError:  # a file, a link, or nothing
        with suppress(OSError):
            os.unlink(path)
        return not os.path.lexists(path)
    try:
        _TreeRemoval(top).run()
    except OSError:
        return False
    finally:
        os.close(top)
    with suppress(OSError):
        os.rmdir(path)
    return not os.path.lexists(path)


class _TreeRemoval:
    """Empties the directory ``top``."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._prefix = f".removed-{secrets.token_hex(8)}-"
        self._moved = 0

    def run(self) -> None:
        failed: set[str] = set()
        while batch := _list_entries(self._top, failed):
            for name, is_directory in batch:
                if not (self._remove_directory(name) if is_directory else _unlink(self._top, name)):
                    failed.add(name)

    def _remove_directory(self, name: str) -> bool:
        """Remove a directory of ``top``. Its subdirectories become directories of ``top``."""
        with suppress(OSError):
            os.rmdir(name, dir_fd=self._top)
            return True
        try:
            directory = _open_directory(name, self._top)
        except OSError:
            return False
        try:
            failed: set[str] = set()
            while batch := _list_entries(directory, failed):
                for entry, is_directory in batch:
                    if not (self._move_up(directory, entry) if is_directory else _unlink(directory, entry)):
                        failed.add(entry)
            os.rmdir(name, dir_fd=self._top)
        except OSError:
            return False
        finally:
            os.close(directory)
        return True

    def _move_up(self, directory: int, name: str) -> bool:
        """Remove an empty directory, or move it to ``top`` under a new name."""
        with suppress(OSError):
            os.rmdir(name, dir_fd=directory)
            return True
        self._moved += 1
        new_name = f"{self._prefix}{self._moved}"
        try:
            os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=self._top)
        except PermissionError:  # moving a directory writes its entry ``..``
            try:
                os.close(_open_directory(name, directory))
                os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=self._top)
            except OSError:
                return False
        except OSError:
            return False
        return True


def _list_entries(directory: int, skipped: set[str]) -> list[tuple[str, bool]]:
    """Return the next entries of a directory as pairs of name and whether it is a directory."""
    with os.scandir(directory) as entries:
        wanted = (entry for entry in entries if entry.name not in skipped)
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(wanted, _BATCH_ENTRIES)]


def _unlink(directory: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _open_directory(name: str, parent: int | None) -> int:
    """Open a directory and give its owner all permissions, never following a link.

    Raises:
        OSError: It is no directory, or belongs to another user.
    """
    try:
        directory = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
    except PermissionError:
        located = os.open(name, _PATH_FLAG | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{located}", stat.S_IRWXU)  # noqa: PTH101 - of the open directory, whatever its name is now
        finally:
            os.close(located)
        directory = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
    with suppress(OSError):
        os.fchmod(directory, stat.S_IRWXU)
    return directory


def walk_tree(path: StrPath) -> Iterator[TreeEntry]:
    """Yield every entry below a directory, each before its content. Entries that vanish meanwhile are left out.

    Raises:
        OSError: ``path`` is not a readable directory.
        TreeChanged: See there.
    """
    directory = _open_unchanged(path)
    ancestors: list[_Ancestor] = []
    pending: list[str] = []
    try:
        yield from _entries_of(directory, pending)
        while pending or ancestors:
            if pending:
                try:
                    inner = _open_unchanged(pending.pop(), directory)
                except OSError:
                    continue
                ancestors.append(_Ancestor(directory, pending, is_held=len(ancestors) < _MAX_OPEN_DIRECTORIES))
                directory, pending = inner, []
                yield from _entries_of(directory, pending)
            else:
                parent = ancestors[-1].reopen(directory)
                os.close(directory)
                directory, pending = parent, ancestors.pop().pending
    finally:
        os.close(directory)
        for ancestor in ancestors:
            ancestor.close()


def _open_unchanged(path: StrPath, parent: int | None = None) -> int:
    """Open a directory so that reading it does not change its access time, if it is one's own or one is root.

    The file system writes access times through its journal, which can block for seconds under heavy writes.
    """
    try:
        return os.open(path, _DIRECTORY_FLAGS | _NO_ACCESS_TIME, dir_fd=parent)
    except PermissionError:
        return os.open(path, _DIRECTORY_FLAGS, dir_fd=parent)


class _Ancestor:
    """A directory on the way to the current one.

    Args:
        directory: Its descriptor, which is closed at once unless it is held.
        pending: Names of its subdirectories that the walk has not entered yet.
        is_held: Whether the descriptor stays open until the walk comes back.
    """

    def __init__(self, directory: int, pending: list[str], *, is_held: bool) -> None:
        self.pending = pending
        self._identity = _identity(directory)
        self._held: int | None = directory if is_held else None
        if not is_held:
            os.close(directory)

    def reopen(self, child: int) -> int:
        """Return a descriptor of this directory, which the caller closes.

        Args:
            child: The descriptor of the subdirectory that the walk leaves.

        Raises:
            TreeChanged: The subdirectory is in another directory now.
        """
        if self._held is not None:
            held, self._held = self._held, None
            return held
        try:
            parent = _open_unchanged("..", child)
        except OSError as error:
            raise TreeChanged from error
        if _identity(parent) != self._identity:
            os.close(parent)
            raise TreeChanged
        return parent

    def close(self) -> None:
        """Close the descriptor if it is held."""
        if self._held is not None:
            os.close(self._held)


def _entries_of(directory: int, subdirectories: list[str]) -> Iterator[TreeEntry]:
    """Yield the entries of one directory and append the names of its subdirectories."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    subdirectories.append(entry.name)
                yield TreeEntry(directory, entry.name, status)
    except OSError:
        return


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
