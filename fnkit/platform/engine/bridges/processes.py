"""The processes of a zygote and of its forks: the namespaces that they live in, and who is whose child.

Standard library of Python 3.8 and later; what is more than that, Linux only.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.platform.engine.bridges import kernel
else:
    import kernel


def has_namespaces(level: str) -> bool:
    """Say whether instances of this level live under a root of their own."""
    return level in ("cgroup", "namespaces")


def enter_zygote(level: str) -> None:
    """Move this process into namespaces of its own; it goes on as process 1 of a fork.

    The process that was started stays behind as its parent and ends with it. When process 1 ends, the kernel
    ends every process in the namespace: no instance outlives its zygote, whatever it did.
    """
    if sys.platform != "linux" or not has_namespaces(level):
        return  # it hears of its parent's end on its socket, and ends what an instance has left behind
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.geteuid() != 0:
        enter_user_namespace()
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
    go_on_as_process_1()
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)


def enter_user_namespace() -> None:
    """Enter a user namespace of this process's own, in which its user keeps its number and has every capability."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{uid} {uid} 1")
    write("/proc/self/gid_map", f"{gid} {gid} 1")


def go_on_as_process_1() -> None:
    """Fork, after ``CLONE_NEWPID``: the child goes on, this process waits for its end."""
    child = os.fork()
    if child:
        for descriptor in range(3, 64):
            try:
                os.close(descriptor)
            except OSError:
                continue
        _, status = os.waitpid(child, 0)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def write(path: str, text: str) -> None:
    """Write to one of the kernel's files, in one go."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def separate_processes() -> None:
    """Let the next fork be process 1 of a namespace of its own."""
    kernel.unshare(kernel.CLONE_NEWPID)


def return_to_processes(own: int) -> None:
    """Undo ``separate_processes`` with a descriptor of this process's own namespace: once only is allowed."""
    kernel.setns(own, kernel.CLONE_NEWPID)


def adopt_orphans() -> None:
    """Let the children of what ends below this process become its own, and not the system's."""
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """Return this process's children, those it has adopted included; nothing where the system cannot say.

    The kernel leaves some out when others end while it lists them: two lists that are the same have all.
    """
    found = _listed_children()
    while True:
        again = _listed_children()
        if again == found:
            return found
        found = again


def _listed_children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []
