"""The namespaces of a zygote and of its forks: what they see of the machine, and whose children they are.

An instance sees a read-only root that its zygote builds once, and a disk of its own. Standard library only, Python
3.8 and later; mounts and namespaces are Linux only.
"""

from __future__ import annotations

import os
import signal
import sys

from . import syscalls

SCRATCH_PATH = "/run"
HOME_PATH = "/home/app"
CODE_PATH = "/home/app/function"
SYSTEM_DIRECTORIES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store")
ETC_ENTRIES = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "gai.conf", "host.conf", "hosts", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "pki", "protocols",
    "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom")


def has_namespaces(level: str) -> bool:
    """Return whether instances of this isolation level have a root of their own."""
    return level in ("cgroup", "namespaces")


def enter_zygote_namespaces(level: str) -> None:
    """Move this process into namespaces of its own; it continues as process 1 of a fork.

    The original process stays behind as its parent and exits with it. When process 1 of a PID namespace ends, the
    kernel kills every process in the namespace: no instance outlives its zygote.
    """
    if sys.platform != "linux" or not has_namespaces(level):
        return  # such a zygote exits when its socket closes, and kills leftover processes itself
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.geteuid() != 0:
        enter_user_namespace()
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    continue_as_pid_1()
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def enter_user_namespace() -> None:
    """Enter a new user namespace in which the user keeps its number and has every capability."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    # An unprivileged process may write gid_map only after setgroups was denied (user_namespaces(7)).
    write_kernel_file("/proc/self/setgroups", "deny")
    write_kernel_file("/proc/self/uid_map", f"{uid} {uid} 1")
    write_kernel_file("/proc/self/gid_map", f"{gid} {gid} 1")


def continue_as_pid_1() -> None:
    """Fork after ``CLONE_NEWPID``: the child continues as process 1, this process waits for it and exits."""
    child = os.fork()
    if child:
        # This process must hold no end of a socket or pipe, or its peer would not see the child's end.
        for descriptor in range(3, 64):
            try:
                os.close(descriptor)
            except OSError:
                continue
        _, status = os.waitpid(child, 0)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
    # A fork does not inherit the parent-death signal.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def write_kernel_file(path: str, text: str) -> None:
    """Write to a file of the kernel with a single system call."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def become_subreaper() -> None:
    """Become the parent of descendants whose own parent ends, instead of the system's init process."""
    if sys.platform == "linux":
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)


def list_children() -> list[int]:
    """Return the children of this process, adopted ones included; empty where the system does not list them.

    The kernel may omit entries when a process ends during the listing, so it is read until two listings agree.
    """
    previous = _read_children()
    while True:
        current = _read_children()
        if current == previous:
            return previous
        previous = current


def _read_children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


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
    covered = tuple(f"/{name}/" for name in SYSTEM_DIRECTORIES)
    wanted = sorted(f for f in directories if f != "/" and not (f + "/").startswith(covered))
    return [f for f in wanted if not any(f != g and f.startswith(g + "/") for g in wanted)]


def build_root(root: str) -> list[str]:
    """Build the read-only root that all instances of this zygote see, on a tmpfs mounted over ``root``.

    Returns:
        Interpreter directories that the disk of an instance hides. They are bound after it is mounted.
    """
    syscalls.mount("tmpfs", root, "tmpfs", syscalls.MS_NOSUID, "size=4m,mode=0755")
    for name in SYSTEM_DIRECTORIES:
        source = "/" + name
        if os.path.islink(source):
            os.symlink(os.readlink(source), root + source)
        elif os.path.isdir(source):
            bind_directory(source, root)
    for name in ETC_ENTRIES:
        _bind_existing("/etc/" + name, root)
    for name in _DEVICES:
        _bind_file("/dev/" + name, root, readonly=False)
    for link, target in (
        ("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"), ("/dev/shm", SCRATCH_PATH + "/shm"), ("/var/tmp", "/tmp"),
    ):  # fmt: skip
        os.makedirs(os.path.dirname(root + link), exist_ok=True)
        os.symlink(target, root + link)
    for directory in ("/proc", "/tmp", SCRATCH_PATH, HOME_PATH):
        os.makedirs(root + directory, exist_ok=True)
    deferred_mounts = []
    for directory in interpreter_directories():
        if (directory + "/").startswith(("/tmp/", SCRATCH_PATH + "/", HOME_PATH + "/")):
            deferred_mounts.append(directory)
        else:
            bind_directory(directory, root)
    # Read-only last: the mount points above are created on it.
    syscalls.mount(
        None, root, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID
    )
    return deferred_mounts


def _bind_existing(source: str, root: str) -> None:
    if os.path.isdir(source):
        bind_directory(source, root)
    elif os.path.exists(source):
        _bind_file(source, root, readonly=True)


def bind_directory(source: str, root: str) -> None:
    """Bind a directory, read-only, to the same path below ``root``."""
    os.makedirs(root + source, exist_ok=True)
    syscalls.bind(os.path.realpath(source), root + source, readonly=True)


def _bind_file(source: str, root: str, *, readonly: bool) -> None:
    os.makedirs(os.path.dirname(root + source), exist_ok=True)
    os.close(os.open(root + source, os.O_CREAT | os.O_WRONLY, 0o644))
    syscalls.bind(os.path.realpath(source), root + source, readonly=readonly)


def mount_disk(root: str) -> None:
    """Mount a tmpfs that belongs to one instance, and bind its parts to the paths where the instance may write.

    Args:
        root: The root directory; empty if it is ``/``.
    """
    scratch = root + SCRATCH_PATH
    syscalls.mount("tmpfs", scratch, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=1024m,mode=0755")
    for name, mode, path in (("tmp", 0o1777, "/tmp"), ("app", 0o755, HOME_PATH), ("shm", 0o1777, "")):
        os.mkdir(f"{scratch}/{name}")
        os.chmod(f"{scratch}/{name}", mode)
        if path:
            syscalls.bind(f"{scratch}/{name}", root + path, readonly=False)


def mount_proc(root: str) -> None:
    """Mount ``/proc`` for the PID namespace of this process."""
    syscalls.mount("proc", root + "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
