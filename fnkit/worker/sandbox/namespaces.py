"""The namespaces of a zygote and of its forks: which processes they see, and whose children they are.

Standard library only, Python 3.8 and later; namespaces are Linux only.
"""

from __future__ import annotations

import os
import signal
import sys

from . import syscalls


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


def mount_proc(root: str) -> None:
    """Mount ``/proc`` for the PID namespace of this process."""
    syscalls.mount("proc", root + "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
