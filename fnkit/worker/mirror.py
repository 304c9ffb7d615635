"""Makes one directory like another one, such that what is the same keeps its times.

Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import stat


def mirror(source: str, target: str, kept: set[str]) -> None:
    """Make a directory like another one. Files with the same content are not touched, and so keep their times.

    Args:
        source: The directory to copy.
        target: The directory to change, which is created.
        kept: Names directly in the target that stay if the source lacks them.
    """
    os.makedirs(target, exist_ok=True)
    with os.scandir(source) as entries:
        wanted = {entry.name: entry for entry in entries}
    with os.scandir(target) as entries:
        present = {entry.name: entry for entry in entries}
    for name, entry in present.items():
        if name not in wanted:
            if name in kept:
                continue
        elif stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode) == stat.S_IFMT(
            wanted[name].stat(follow_symlinks=False).st_mode
        ):
            continue
        _remove(entry)
    for name, entry in wanted.items():
        path = os.path.join(target, name)
        if entry.is_symlink():
            _copy_link(entry.path, path)
        elif entry.is_dir():
            mirror(entry.path, path, set())
        elif name not in present or not os.path.exists(path) or not filecmp.cmp(entry.path, path, shallow=False):
            shutil.copyfile(entry.path, path)
            shutil.copymode(entry.path, path)


def _copy_link(source: str, target: str) -> None:
    link = os.readlink(source)
    if os.path.islink(target):
        if os.readlink(target) == link:
            return
        os.unlink(target)
    os.symlink(link, target)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)
