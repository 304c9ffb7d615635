"""Reads text files of a project, which may be a stranger's: regular files inside it, of bounded size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 4 * 1024 * 1024


class OutsideProject(Exception):
    """A file is outside the project directory, or a symbolic link to such a file."""


def read_project_text(root: Path, path: Path) -> str:
    """Return the text of a file in a project, without a byte order mark and with universal newlines.

    Messages about a file quote it, and values of a ``.env`` file are sent to the API, so a repository must not name
    files of the machine.

    Raises:
        OutsideProject: The file is not in the project.
        OSError: It cannot be read, is no regular file, or is larger than 4 MiB.
        UnicodeDecodeError: It is not UTF-8.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise OutsideProject
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a pipe would wait for a writer
    with os.fdopen(descriptor, encoding="utf-8-sig") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
        if status.st_size > _MAX_BYTES:
            raise OSError(errno.EFBIG, "it is larger than 4 MiB", os.fspath(path))
        return file.read(_MAX_BYTES)
