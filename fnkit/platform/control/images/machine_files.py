"""Files of this machine as entries of a layer, at the paths that they have here, with all links that lead to them.

Only what everybody may read is taken. The directories above a file are not asked: an interpreter in the home
directory of its user is no secret, though the directory may be closed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from fnkit.platform.control.images.layer import EntryKind, LayerEntry

FileFilter: TypeAlias = Callable[[Path], bool]
"""Whether a file, given its real path, becomes part of the layer."""

_MAX_LINKS: Final = 40  # as many as the kernel follows
_EXECUTABLE: Final = 0o111


class MachineFiles:
    """Collects entries. What is missing or private is left out, and so are links that would lead nowhere."""

    def __init__(self) -> None:
        self._entries: dict[str, LayerEntry] = {}

    @property
    def entries(self) -> list[LayerEntry]:
        """What was added, sorted by path."""
        return [self._entries[path] for path in sorted(self._entries)]

    def __contains__(self, path: str) -> bool:
        """Return whether the layer has an entry with this absolute path, through whichever links."""
        return os.path.realpath(path).lstrip("/") in self._entries

    def put(self, *entries: LayerEntry) -> None:
        """Add entries that are no files of this machine."""
        self._entries.update((entry.path, entry) for entry in entries)

    def put_missing(self, entry: LayerEntry) -> None:
        """Add an entry unless there is one with its path."""
        self._entries.setdefault(entry.path, entry)

    def add(self, path: str, accepts: FileFilter | None = None) -> bool:
        """Add a file, or a directory without its content, and the links on the way to it.

        Args:
            path: Its absolute path.
            accepts: Called for a file.

        Returns:
            Whether the layer has it now.
        """
        try:
            found = list(_resolve(path))
        except OSError:
            return False
        last = found[-1]
        if last.kind is EntryKind.FILE and accepts is not None and not accepts(Path("/", last.path)):
            return False
        self.put(*found)
        return True

    def add_tree(
        self, path: str, *, skip: Callable[[str], bool] | None = None, accepts: FileFilter | None = None
    ) -> list[str]:
        """Add a directory and what is below it.

        Args:
            path: Its absolute path.
            skip: Given the name of a directory, returns whether it is left out.
            accepts: Called for each file.

        Returns:
            The real paths of the files, sorted.
        """
        if not self.add(path):
            return []
        files: list[str] = []
        for directory, directories, names in os.walk(os.path.realpath(path)):
            inner = Path(directory)
            if not _is_public_directory(inner):
                directories.clear()
                continue
            directories[:] = [name for name in sorted(directories) if skip is None or not skip(name)]
            self.put(LayerEntry(path=directory.lstrip("/"), kind=EntryKind.DIRECTORY))
            # os.walk lists links to directories as directories and does not follow them.
            links = [name for name in directories if (inner / name).is_symlink()]
            paths = [inner / name for name in sorted([*names, *links])]
            files += [str(path) for path in paths if self.add(str(path), accepts) and not path.is_symlink()]
        return files


def _resolve(path: str) -> Iterator[LayerEntry]:
    """Yield the links on the way to a file or directory, and then itself.

    Raises:
        OSError: It does not exist, is private, or is neither file nor directory.
    """
    current = Path("/")
    pending = path.split("/")[::-1]
    links = 0
    while pending:
        part = pending.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            current = current.parent
            continue
        candidate = current / part
        if candidate.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise OSError(f"too many links: {path}")
            target = str(candidate.readlink())
            yield LayerEntry(path=str(candidate).lstrip("/"), kind=EntryKind.LINK, target=target)
            pending += target.split("/")[::-1]
            current = Path("/") if target.startswith("/") else current
        else:
            current = candidate
    if current == Path("/"):
        raise OSError(f"the root directory has no entry: {path}")
    status = current.stat()
    if stat.S_ISDIR(status.st_mode):
        yield LayerEntry(path=str(current).lstrip("/"), kind=EntryKind.DIRECTORY)
    elif stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        mode = 0o755 if status.st_mode & _EXECUTABLE else 0o644
        yield LayerEntry(path=str(current).lstrip("/"), kind=EntryKind.FILE, mode=mode, source=current)
    else:
        raise PermissionError(f"not a file that everybody may read: {path}")


def _is_public_directory(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IROTH and mode & stat.S_IXOTH)
