"""Built dependencies of functions, which later deployments of the same function use again.

Dependencies change less often than code, and compiling them is most of a build. They are kept with their bytecode,
by what they contain and which interpreter compiled them, and a deployment with the same ones gets hard links: the
files are stored and cached once. Functions do not share them, because the files of a function belong to its user.

Only where instances cannot change the files of a deployment: because an overlay lies above them, or in a cluster.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.platform.directory_tree import remove_tree

_PREFIX: Final = ".incoming-"


@dataclass(frozen=True, slots=True)
class DependencyStore:
    """The kept dependencies of one function.

    Attributes:
        directory: Contains those of all functions. No instance can reach it.
        function_id: The function.
    """

    directory: Path
    function_id: str

    def find(self, key: str) -> Path | None:
        """Return the directory of the dependencies with this key, if they are kept."""
        path = self._path(key)
        return path if path.is_dir() else None

    def keep(self, built: Path, key: str) -> None:
        """Keep built dependencies. Nothing happens if the file system refuses hard links.

        Args:
            built: Their directory, whose files must not change any more.
            key: See ``ArchivedDependencies``.
        """
        incoming = self.directory / f"{_PREFIX}{secrets.token_hex(8)}"
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            link_tree(built, incoming)
            incoming.rename(self._path(key))
        except OSError:
            remove_tree(incoming)

    def remove(self, kept_key: str = "") -> None:
        """Remove all dependencies of the function but those with this key."""
        with suppress(OSError):
            for path in self.directory.glob(f"{self.function_id}-*"):
                if path != self._path(kept_key):
                    remove_tree(path)

    def _path(self, key: str) -> Path:
        return self.directory / f"{self.function_id}-{key}"


def link_tree(source: Path, target: Path) -> None:
    """Make a new directory with hard links to all files below another one, and directories like those there.

    Raises:
        OSError: The file system refuses it, or has no space. A part may be left.
    """
    copy_directory(source.stat(), str(target))
    pending = [(str(source), str(target))]
    while pending:
        directory, copy = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                inner = f"{copy}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    copy_directory(entry.stat(follow_symlinks=False), inner)
                    pending.append((entry.path, inner))
                else:
                    os.link(entry.path, inner, follow_symlinks=False)


def copy_directory(status: os.stat_result, copy: str) -> None:
    """Make a directory with the owner and the mode of another one."""
    Path(copy).mkdir()
    if os.geteuid() == 0:
        os.chown(copy, status.st_uid, status.st_gid)
    Path(copy).chmod(stat.S_IMODE(status.st_mode))
