"""Files that imports leave behind: read in a deployment zygote, written again on the disk of each of its forks.

Standard library of Python 3.8 and later.
"""

from __future__ import annotations

import os
import stat
import typing

_BYTES_MAX = 1024 * 1024


class Leftover:
    """One file, folder or link. ``content`` is a file's bytes, a link's target, ``None`` for a folder."""

    __slots__ = ("content", "mode", "path")

    def __init__(self, path: str, mode: int, content: bytes | None) -> None:
        self.path = path
        self.mode = mode
        self.content = content


def read(
    folders: list[str], module: str, left_out: typing.Callable[[str, str], Exception], *, keeps_files: bool
) -> list[Leftover]:
    """Return everything in these folders, parents first; the code among them is passed over."""
    found = []  # type: list[Leftover]
    size = 0
    for folder in folders:
        for parent, names, files in os.walk(folder):
            if parent == folder and folder.endswith("/app"):
                names[:] = [name for name in names if name != "function"]
            for name in (*names, *files):
                entry = _read_one(os.path.join(parent, name))
                if entry is None or not keeps_files:
                    raise left_out(module, "leaves files behind")
                size += len(entry.content or b"")
                if size > _BYTES_MAX:
                    raise left_out(module, "leaves more than 1 MiB of files behind")
                found.append(entry)
    return found


def _read_one(path: str) -> Leftover | None:
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return Leftover(path, mode, None)
    if stat.S_ISLNK(mode):
        return Leftover(path, mode, os.readlink(os.fsencode(path)))
    if not stat.S_ISREG(mode) or os.path.getsize(path) > _BYTES_MAX:
        return None
    with open(path, "rb") as file:
        return Leftover(path, mode, file.read())


def write(found: list[Leftover]) -> None:
    """Make them again, as they were."""
    for entry in found:
        if entry.content is None:
            os.makedirs(entry.path, exist_ok=True)
            os.chmod(entry.path, stat.S_IMODE(entry.mode))
        elif stat.S_ISLNK(entry.mode):
            os.symlink(entry.content, os.fsencode(entry.path))
        else:
            with open(entry.path, "wb") as file:
                file.write(entry.content)
            os.chmod(entry.path, stat.S_IMODE(entry.mode))
