"""What the root directory of instances consists of: copied files, empty directories, and what is bound read-only.

The skeleton is the lower layer of every root (``rootfs``). No instance can change it, but each can change its own
view of it, whatever its user: directories are writable and files readable and writable by everybody. Standard
library only, Python 3.8 and later.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import typing
from itertools import islice

from . import syscalls

HOME_PATH = "/home/app"
CODE_PATH = "/home/app/function"
USR_LOCAL_PATH = "/usr/local"
PROGRAM_PATH = "/home/app/index.py"
"""The program of the real platform. Nothing runs it here, but child processes of multiprocessing import it."""
USER_NAME = "app"
"""The name of an instance's user and group. Production's is unknown; this one is after its home directory."""
PASSWD_PATH, GROUP_PATH = "/etc/passwd", "/etc/group"
OUTSIDE_PATH = "/run/fnkit"
"""Where a root has directories of the outside until its process is confined; an empty directory afterwards."""
SYSTEM_DIRECTORIES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store")
ETC_ENTRIES = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "gai.conf", "host.conf", "hosts", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "pki", "protocols",
    "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DIRECTORIES = (
    CODE_PATH, "/dev/shm", "/etc", "/media", "/mnt", "/opt", "/proc", "/root", OUTSIDE_PATH, "/srv", "/tmp",
    "/var/cache", "/var/lib", "/var/local", "/var/log", "/var/mail", "/var/opt", "/var/spool",
)  # fmt: skip
_LINKS = (
    ("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"), ("/var/lock", "/run/lock"), ("/var/run", "/run"), ("/var/tmp", "/tmp"),
)  # fmt: skip
_MAX_COPIED_BYTES = 8 * 1024 * 1024
_MAX_COPIED_ENTRIES = 1000
_MAX_DIRECTORIES = 10_000


def interpreter_directories() -> list[str]:
    """Return the directories of this interpreter and of the libraries that it has loaded."""
    directories = {os.path.realpath(sys.base_prefix), os.path.realpath(sys.base_exec_prefix)}
    executable = os.path.realpath(sys.executable)
    if not any(executable.startswith(directory + "/") for directory in directories):
        directories.add(os.path.dirname(executable))
    # Executable mappings are shared libraries, which may lie anywhere.
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split(None, 5)
            if fields[-1].startswith("/") and "x" in fields[1]:
                directories.add(os.path.dirname(fields[-1].strip()))
    return outermost(directories)


def outermost(directories: typing.Iterable[str]) -> list[str]:
    """Return the directories that lie neither in one of the system's nor in one of the others, sorted."""
    covered = tuple(f"/{name}/" for name in SYSTEM_DIRECTORIES)
    wanted = sorted({f for f in directories if f != "/" and not (f + "/").startswith(covered)})
    return [f for f in wanted if not any(f != g and f.startswith(g + "/") for g in wanted)]


def build_skeleton(skeleton: str, interpreter: list[str]) -> list[str]:
    """Fill an empty directory on a tmpfs. The umask must be 0.

    Args:
        skeleton: The directory.
        interpreter: The directories of the interpreter.

    Returns:
        The paths below it that are read-only mounts of the same paths outside. They are no part of a lower layer,
        so every root has to bind them again.
    """
    os.mkdir(skeleton + "/dev", 0o555)
    for directory in _DIRECTORIES:
        os.makedirs(skeleton + directory, exist_ok=True)
    for name in ETC_ENTRIES:
        _copy_public("/etc/" + name, skeleton + "/etc/" + name)
    for path in (PROGRAM_PATH, PASSWD_PATH, GROUP_PATH):  # empty; rootfs fills the latter two
        os.close(os.open(skeleton + path, os.O_CREAT | os.O_WRONLY, 0o666))
    for link, target in _LINKS:
        os.symlink(target, skeleton + link)
    mounts = [*_link_system_directories(skeleton), *interpreter]
    for path in mounts:
        os.makedirs(skeleton + path, exist_ok=True)
        syscalls.bind(os.path.realpath(path), skeleton + path, readonly=True)
    for name in _DEVICES:
        path = "/dev/" + name
        os.close(os.open(skeleton + path, os.O_CREAT | os.O_WRONLY))
        syscalls.bind(path, skeleton + path, readonly=False)
        mounts.append(path)
    return mounts


def _link_system_directories(skeleton: str) -> list[str]:
    """Copy those that are links, and return the others."""
    directories = []
    for name in SYSTEM_DIRECTORIES:
        path = "/" + name
        if os.path.islink(path):
            os.symlink(os.readlink(path), skeleton + path)
        elif os.path.isdir(path):
            directories.append(path)
    return directories


def mirror_directory(source: str, target: str) -> None:
    """Copy a directory so that its users may create, replace and delete everything in it.

    Of a large one, only directories are copied: the files, which another layer provides below, can then be replaced
    and deleted, but not opened for writing. The umask must be 0.
    """
    size = 0
    for number, (_, status) in enumerate(_public_entries(source)):
        size += status.st_size
        if number > _MAX_COPIED_ENTRIES or size > _MAX_COPIED_BYTES:
            break
    else:
        _copy_public(source, target)
        return
    for path, _ in islice(_public_entries(source, directories_only=True), _MAX_DIRECTORIES):
        os.mkdir(target + path[len(source) :])


def _copy_public(source: str, target: str) -> None:
    """Copy a file or directory, if everybody may read it, so that everybody may write to the copy."""
    source = os.path.realpath(source)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for path, status in _public_entries(source):
            _copy_entry(path, target + path[len(source) :], status)
    elif os.path.exists(source):
        status = os.stat(source)
        if _is_public(status):
            _copy_entry(source, target, status)


def _copy_entry(source: str, target: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(target)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        shutil.copyfile(source, target)
        os.chmod(target, os.stat(target).st_mode | status.st_mode & 0o111)


def _public_entries(
    directory: str, *, directories_only: bool = False
) -> typing.Iterator[tuple[str, os.stat_result]]:
    """Yield what everybody may read below a directory, each entry before its content. No link is followed.

    Private keys, for example, are readable by this process only.
    """
    pending = [directory]
    for parent in pending:  # it grows meanwhile
        with os.scandir(parent) as entries:
            for entry in entries:
                is_directory = entry.is_dir(follow_symlinks=False)
                if directories_only and not is_directory:
                    continue
                status = entry.stat(follow_symlinks=False)
                if _is_public(status):
                    if is_directory:
                        pending.append(entry.path)
                    yield entry.path, status


def _is_public(status: os.stat_result) -> bool:
    if stat.S_ISDIR(status.st_mode):
        return bool(status.st_mode & stat.S_IROTH and status.st_mode & stat.S_IXOTH)
    return stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IROTH))
