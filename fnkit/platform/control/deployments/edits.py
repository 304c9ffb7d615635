"""Edits of deployed code: a new directory with the files of the serving deployment, of which a few are replaced.

While somebody develops a function, a few files change at a time. Unpacking, compiling and linking everything again
for each of them would take most of the time between a change and the first response.

Instances in Python that have a writable root of their own replace edited files themselves: the new directory has
only these, and the zygote of the deployment, which has imported its packages, serves on. For others, the new
directory has all files: unchanged ones are hard links where instances cannot change the files of a deployment, and
copies elsewhere.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.contract.platform import MAX_EDITED_BYTES, MAX_EDITED_FILES, EditedFile
from fnkit.platform.control.deployments.build_job import BuildFailed
from fnkit.platform.control.deployments.dependencies import copy_directory, link_tree
from fnkit.platform.directory_tree import remove_tree

EDITABLE_LANGUAGES: Final = frozenset({"Python", "Node", "PHP"})
"""Languages whose build makes nothing of the files that may be edited. Others are compiled."""
_INSTALLED: Final = frozenset(
    {"package", "node_modules", "vendor", "package.json", "composer.json", "composer.lock"}
)
"""At the top of the code: dependencies and what they are installed from, which belong to a build."""
_MAX_DEPTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EditJob:
    """The input of an edit.

    Attributes:
        code: The code of the serving deployment, which stays unchanged; with ``only_edited``, the directory of its
            edited files.
        target: The directory to create.
        files: The changes.
        uid: The owner of new files; 0 for no change.
        is_shared: Whether unchanged files are hard links.
        is_writable: Whether every user may write to the files, because an instance has a user of its own.
        only_edited: The paths of files that were edited before, if the directory is to have edited files only;
            ``None`` for all files.
    """

    code: Path
    target: Path
    files: tuple[EditedFile, ...]
    uid: int
    is_shared: bool
    is_writable: bool
    only_edited: tuple[str, ...] | None = None


def check_edit(files: Iterable[EditedFile]) -> str:
    """Return why files cannot be edited; empty if they can.

    >>> check_edit([EditedFile(path="package/requests/api.py", content=b"")])
    'package/requests/api.py belongs to the dependencies'
    """
    size = 0
    for count, file in enumerate(files, 1):
        path = PurePosixPath(file.path)
        is_plain = str(path) == file.path and not path.is_absolute() and "\0" not in file.path
        if not is_plain or not path.parts or ".." in path.parts or len(path.parts) > _MAX_DEPTH:
            return f"{file.path[:200]!r} is no path of a file below the code"
        if path.parts[0] in _INSTALLED:
            return f"{file.path[:200]} belongs to the dependencies"
        size += len(file.content or b"")
        if size > MAX_EDITED_BYTES or count > MAX_EDITED_FILES:
            return f"must have at most {MAX_EDITED_FILES} files and {MAX_EDITED_BYTES} bytes"
    return ""


def apply_edit(job: EditJob) -> None:
    """Create the directory, or leave nothing behind. Blocks; call it in a thread.

    Raises:
        BuildFailed: A file cannot be where it should be.
        OSError: A file could not be written.
    """
    temporary = job.target.with_name(f".{job.target.name}.editing")
    remove_tree(temporary)
    try:
        if job.only_edited is not None:
            _link_files(job, temporary, job.only_edited)
        elif job.is_shared:
            link_tree(job.code, temporary)
        else:
            _copy_tree(job.code, temporary)
        for file in job.files:
            if file.content is None:
                _remove_file(job, temporary, file.path)
            else:
                _write_file(job, temporary, file, file.content)
        remove_tree(job.target)
        temporary.rename(job.target)
    except BaseException:
        remove_tree(temporary)
        raise


def _link_files(job: EditJob, target: Path, paths: Iterable[str]) -> None:
    """Make a directory with hard links to these files, as far as they exist."""
    copy_directory(job.target.parent.stat(), str(target))
    for path in paths:
        source = job.code / path
        if source.is_file() and not source.is_symlink():
            parent = _enter_parent(job, target, path, create=True)
            if parent is not None:
                os.link(source, parent / source.name, follow_symlinks=False)


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a tree of regular files, directories and links, with modes and owners."""
    copy_directory(source.stat(), str(target))
    pending = [(str(source), str(target))]
    while pending:
        directory, copy = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                inner, status = f"{copy}/{entry.name}", entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    copy_directory(status, inner)
                    pending.append((entry.path, inner))
                    continue
                shutil.copy2(entry.path, inner, follow_symlinks=False)
                if os.geteuid() == 0:
                    os.chown(inner, status.st_uid, status.st_gid, follow_symlinks=False)


def _remove_file(job: EditJob, root: Path, path: str) -> None:
    parent = _enter_parent(job, root, path, create=False)
    if parent is None:
        return
    target = parent / PurePosixPath(path).name
    if target.is_dir() and not target.is_symlink():
        raise BuildFailed(f"{path!r} is a directory.")
    target.unlink(missing_ok=True)
    _remove_bytecode(target)


def _write_file(job: EditJob, root: Path, file: EditedFile, content: bytes) -> None:
    parent = _enter_parent(job, root, file.path, create=True)
    if parent is None:
        raise AssertionError("the directory was created")
    target = parent / PurePosixPath(file.path).name
    if target.is_dir() and not target.is_symlink():
        raise BuildFailed(f"{file.path!r} is both a file and a directory.")
    # Never into the existing file: it is also that of the deployment that serves.
    temporary = parent / f".{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        mode = (0o777 if file.executable else 0o666) if job.is_writable else (0o755 if file.executable else 0o644)
        os.fchmod(stream.fileno(), mode)
        if job.uid:
            os.fchown(stream.fileno(), job.uid, job.uid)
    temporary.replace(target)
    _remove_bytecode(target)


def _enter_parent(job: EditJob, root: Path, path: str, *, create: bool) -> Path | None:
    """Return the directory of a path; ``None`` if it does not exist.

    Raises:
        BuildFailed: A part of the path is a file or a link, which may lead elsewhere.
    """
    directory = root
    for part in PurePosixPath(path).parts[:-1]:
        directory /= part
        if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
            raise BuildFailed(f"{path!r} is below a file or a link.")
        if directory.is_dir():
            continue
        if not create:
            return None
        directory.mkdir()
        directory.chmod(0o777 if job.is_writable else 0o755)
        if job.uid:
            os.chown(directory, job.uid, job.uid)
    return directory


def _remove_bytecode(module: Path) -> None:
    """Remove what was compiled from an earlier version of a module: Python does not compare it with its source."""
    if module.suffix == ".py" and (cache := module.parent / "__pycache__").is_dir() and not cache.is_symlink():
        for compiled in cache.glob(f"{module.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
