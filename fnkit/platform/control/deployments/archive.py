"""Unpacks untrusted zip archives, and compiles their Python sources to bytecode.

Unpacking never writes outside its directory, enforces the size limit while it writes, and leaves no partial result
to its caller.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import stat
import subprocess
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit import worker
from fnkit.platform.control.deployments.archive_links import ArchiveLinks
from fnkit.platform.control.deployments.build_job import STEPS, BuildFailed, BuildJob
from fnkit.platform.directory_tree import walk_tree

_COMPILE_TIMEOUT: Final = 120
_POLL_INTERVAL: Final = 0.02
_CHUNK_BYTES: Final = 256 * 1024
_MAX_MEMBERS: Final = 200_000
_MAX_LINK_BYTES: Final = 4096
_MAX_DEPTH: Final = 200
"""Directories above a member. Programs that walk a tree recursively, as CPython's, cannot enter deeper ones."""
_SHOWN_NAME: Final = 200
_KEY_DIGITS: Final = 32
_LAUNCHER: Final = Path(worker.__file__).parent / "python" / "launch.py"
_NO_SANDBOX: Final = 3  # fnkit/worker/python/compile.py
ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises for damaged or unsupported archives: bad CRC, truncation, encryption, unknown compression."""
_ARCHIVE_ERRNOS: Final = (None, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""Errors of the operating system that a member's name causes; bz2 reports damaged data without an errno."""


def compile_sources(job: BuildJob, directory: Path, *, excluded: str = "") -> None:
    """Compile every module in a directory that belongs to the job's user, in a sandbox without network.

    Without bytecode, a deployment only starts more slowly, so nothing is compiled where the sandbox is impossible.

    Args:
        job: The build.
        directory: The directory.
        excluded: A directory in it that is left out; empty for none.

    Raises:
        BuildStopped: The build was stopped.
    """
    if job.interpreter is None or not any(entry.name.endswith(".py") for entry in walk_tree(directory)):
        return
    try:
        process = subprocess.Popen(
            [job.interpreter, "-s", "-S", str(_LAUNCHER), "compile", str(job.uid), excluded],
            cwd=directory,
            env={"PYTHONHASHSEED": "0"},  # the order of sets in bytecode depends on it before Python 3.11
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        job.log.write(f"Compiled nothing: {error.strerror or error}.")
        return
    try:
        deadline = time.monotonic() + _COMPILE_TIMEOUT
        while process.poll() is None and time.monotonic() < deadline:
            job.check()
            job.stop.wait(_POLL_INTERVAL)
    finally:
        process.kill()
        process.wait()
    if process.returncode == _NO_SANDBOX:
        job.log.write("Compiled nothing: this machine cannot confine the compiler (it requires Landlock).")


@dataclass(frozen=True, slots=True)
class ArchivedDependencies:
    """The dependencies in an archive.

    Attributes:
        directory: Their directory in the archive.
        key: Digest of their names, modes and content, and of the interpreter that compiles them.
        size: Unpacked size in bytes.
    """

    directory: str
    key: str
    size: int


def measure_dependencies(job: BuildJob, directory: str) -> ArchivedDependencies | None:
    """Return the dependencies in the job's archive.

    Args:
        job: The build.
        directory: Their directory in the archive.

    Returns:
        ``None`` if there are none, or if not all of them are files: links may lead out of the directory.

    Raises:
        BuildFailed: The archive cannot be read.
        BuildStopped: The build was stopped.
    """
    with _open_archive(job) as archive:
        digests = []
        size = 0
        for member in archive.infolist():
            if _safe_path(member.filename).parts[0] != directory or member.is_dir():
                continue
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                return None
            digest = hashlib.sha256()
            with archive.open(member) as source:
                while chunk := source.read(_CHUNK_BYTES):
                    job.check()
                    size = _checked_total(job, size + len(chunk))
                    digest.update(chunk)
            digests.append(f"{digest.hexdigest()} {member.external_attr >> 16 & 0o111} {member.filename!r}")
    if not digests:
        return None
    text = "\n".join([job.interpreter or "", *sorted(digests)])
    return ArchivedDependencies(directory, hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS], size)


@contextmanager
def _open_archive(job: BuildJob) -> Iterator[zipfile.ZipFile]:
    """Open the job's archive; turn what its content causes into errors of the build."""
    try:
        with zipfile.ZipFile(job.archive) as archive:
            yield archive
    except ARCHIVE_ERRORS as error:
        raise BuildFailed(f"The archive cannot be read: {str(error) or type(error).__name__}.") from None
    except OSError as error:
        if error.errno not in _ARCHIVE_ERRNOS:
            raise
        raise BuildFailed(f"The archive cannot be unpacked: {(error.strerror or str(error)).lower()}.") from None


def _checked_total(job: BuildJob, total: int) -> int:
    if total > job.unpacked_max:
        raise BuildFailed(f"The code is larger than {job.unpacked_max} bytes when unpacked.")
    return total


def unpack_code(job: BuildJob, directory: Path, left_out: ArchivedDependencies | None = None) -> None:
    """Unpack the job's archive as the first step of a build, and make the job's user the owner.

    Args:
        job: The build.
        directory: An empty directory.
        left_out: Dependencies that are not unpacked.

    Raises:
        BuildFailed: See ``unpack``, as for the others.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    job.progress(STEPS[0])
    size = unpack(job, directory, left_out)
    job.log.write(f"Unpacked {size} bytes.")
    if job.uid:
        _change_owner(directory, job.uid)
    job.progress(STEPS[1])


def _change_owner(directory: Path, uid: int) -> None:
    """Make a user the owner of a tree, so that its instances can read the code and those of other functions cannot.

    The platform's own group keeps access to the directory: without namespaces, instances run as the platform's
    user, without the capabilities that ignore permissions. Everything in it gets the group of the user, because
    instances with preloaded modules know no other group, and could not write to the files.
    """
    group = os.getgid()
    directory.chmod(0o750)
    os.chown(directory, uid, group)
    for entry in walk_tree(directory):
        os.chown(entry.name, uid, uid, dir_fd=entry.parent, follow_symlinks=False)


def make_writable(job: BuildJob, directory: Path) -> None:
    """Allow the instances of a function to write to its code, whichever users they have. The last step of a build.

    An interpreter that is started ahead has its user before it has a function, so it cannot be the owner. No other
    user can enter the directory itself.

    Args:
        job: The build.
        directory: The code, to which nothing else writes any more.

    Raises:
        OSError: A mode could not be changed.
    """
    if not job.uid:
        return
    for entry in walk_tree(directory):
        if not stat.S_ISLNK(entry.status.st_mode):
            added = 0o777 if entry.is_directory else 0o666
            os.chmod(entry.name, stat.S_IMODE(entry.status.st_mode) | added, dir_fd=entry.parent)


def unpack(job: BuildJob, directory: Path, left_out: ArchivedDependencies | None = None) -> int:
    """Unpack the job's archive.

    Files get mode 0644 or 0755, directories 0755. Symbolic links are created last, and only if they stay inside.

    Args:
        job: The build.
        directory: An empty directory.
        left_out: Dependencies that are not unpacked; they count nevertheless.

    Returns:
        The unpacked size in bytes.

    Raises:
        BuildFailed: The archive is no zip file, is damaged or too large, or reaches outside of the directory.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    with _open_archive(job) as archive:
        return _extract_members(job, archive, directory, left_out)


def _extract_members(
    job: BuildJob, archive: zipfile.ZipFile, directory: Path, left_out: ArchivedDependencies | None
) -> int:
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise BuildFailed(f"The archive has {len(members)} members, more than {_MAX_MEMBERS}.")
    total = left_out.size if left_out is not None else 0
    links = ArchiveLinks()
    for member in members:
        job.check()
        safe_path = _safe_path(member.filename)
        if left_out is not None and safe_path.parts[0] == left_out.directory:
            continue
        path = directory / safe_path
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir():
            _create_directory(path, member.filename)
        elif kind == stat.S_IFLNK:
            links.add(safe_path, _link_target(archive, member))
        elif kind in (0, stat.S_IFREG):
            _create_directory(path.parent, member.filename)
            total = _extract_file(job, archive, member, path, total)
        else:
            raise BuildFailed(f"{member.filename!r} is neither a file, a directory nor a symbolic link.")
    # Links come after all files, so that no file is written through one.
    links.create(directory, job.check)
    return total


def _safe_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BuildFailed(f"{name[:_SHOWN_NAME]!r} lies outside the archive.")
    if len(path.parts) > _MAX_DEPTH:
        raise BuildFailed(f"{name[:_SHOWN_NAME]!r}… lies more than {_MAX_DEPTH} directories deep.")
    return path


def _create_directory(path: Path, name: str) -> None:
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BuildFailed(f"{name!r} is both a file and a directory.") from None


def _extract_file(job: BuildJob, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, total: int) -> int:
    mode = 0o755 if (member.external_attr >> 16) & 0o111 else 0o644
    try:
        target = path.open("wb")
    except IsADirectoryError:
        raise BuildFailed(f"{member.filename!r} is both a file and a directory.") from None
    with target, archive.open(member) as source:
        while chunk := source.read(_CHUNK_BYTES):
            job.check()
            total = _checked_total(job, total + len(chunk))
            target.write(chunk)
        os.fchmod(target.fileno(), mode)
    return total


def _link_target(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    if member.file_size > _MAX_LINK_BYTES:
        raise BuildFailed(f"The target of the link {member.filename!r} is too long.")
    try:
        target = archive.read(member).decode()
    except UnicodeDecodeError:
        raise BuildFailed(f"The target of the link {member.filename!r} is not UTF-8.") from None
    if not target:
        raise BuildFailed(f"The link {member.filename!r} has no target.")
    return target
