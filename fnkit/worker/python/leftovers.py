"""Files that imports create: collected in a deployment zygote, restored on the disk of each of its forks.

Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import os
import stat
import typing

_MAX_CREATED_BYTES = 1024 * 1024


class CreatedFile:
    """A file, directory or symbolic link that an import created.

    Attributes:
        path: Absolute path.
        mode: ``st_mode``.
        content: The bytes of a file, the target of a link, ``None`` for a directory.
    """

    __slots__ = ("content", "mode", "path")

    def __init__(self, path: str, mode: int, content: bytes | None) -> None:
        self.path = path
        self.mode = mode
        self.content = content


def collect(
    directories: list[str], module: str, rejection: typing.Callable[[str, str], Exception], *, keeps_files: bool
) -> list[CreatedFile]:
    """Return everything in these directories, parents first, without the function's code.

    Args:
        directories: The directories that the function may write to.
        module: The module that was imported last, for the exception.
        rejection: Builds the exception to raise, from a module and a reason.
        keeps_files: Whether created files are allowed.

    Raises:
        PreloadRejected: Files may not be created, or are too large to be copied to each fork.
    """
    found = []  # type: list[CreatedFile]
    size = 0
    for directory in directories:
        for parent, names, files in os.walk(directory):
            if parent == directory and directory.endswith("/app"):
                names[:] = [name for name in names if name != "function"]
            for name in (*names, *files):
                entry = _read_entry(os.path.join(parent, name))
                if entry is None or not keeps_files:
                    raise rejection(module, "leaves files behind")
                size += len(entry.content or b"")
                if size > _MAX_CREATED_BYTES:
                    raise rejection(module, "leaves more than 1 MiB of files behind")
                found.append(entry)
    return found


def _read_entry(path: str) -> CreatedFile | None:
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return CreatedFile(path, mode, None)
    if stat.S_ISLNK(mode):
        return CreatedFile(path, mode, os.readlink(os.fsencode(path)))
    if not stat.S_ISREG(mode) or os.path.getsize(path) > _MAX_CREATED_BYTES:
        return None
    with open(path, "rb") as file:
        return CreatedFile(path, mode, file.read())


def restore(entries: list[CreatedFile]) -> None:
    """Create these entries again, with their modes. Parents precede their content."""
    for created in entries:
        if created.content is None:
            os.makedirs(created.path, exist_ok=True)
            os.chmod(created.path, stat.S_IMODE(created.mode))
        elif stat.S_ISLNK(created.mode):
            os.symlink(created.content, os.fsencode(created.path))
        else:
            with open(created.path, "wb") as file:
                file.write(created.content)
            os.chmod(created.path, stat.S_IMODE(created.mode))
