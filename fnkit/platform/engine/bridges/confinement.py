"""The walls around one instance, put up by the instance itself before any code of a user runs.

A zygote calls ``processes.enter_zygote`` and, where there are namespaces, ``roots.build_root`` once. A child calls
``prepare`` while it waits for work, and ``confine`` when it knows whose work it is. What each level enforces
stands in ``fnkit/platform/engine/isolation.py``. Standard library of Python 3.8 and later, Linux only.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.platform.engine.bridges import filters, kernel, processes, roots
else:
    import filters
    import kernel
    import processes
    import roots


_DESCRIPTORS = 4096


class Settings:
    """What ``confine`` needs to know of one instance (see ``InstanceSettings`` in the engine)."""

    def __init__(self, values: dict[str, object]) -> None:
        self.level = str(values["level"])
        self.code = str(values["code"])
        self.home = str(values["home"])
        self.memory = int(str(values["memory"])) * 1024 * 1024
        self.disk = int(str(values["disk"])) * 1024 * 1024
        self.processes = int(str(values["processes"]))
        self.uid = int(str(values["uid"]))
        self.hostname = str(values["hostname"])
        self.filter = bool(values["filter"])
        self.disk_folder = str(values.get("disk_folder") or "")


def prepare(level: str, root: str, cgroups: list[str], late: list[str]) -> None:
    """Do what takes time and needs to know nobody: join the cgroups, mount a disk and ``/proc``."""
    for path in cgroups:
        processes.write(path, "0")
    os.setsid()
    if not processes.has_namespaces(level):
        processes.adopt_orphans()
        return
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
    roots.mount_disk(root)
    os.mkdir(root + roots.CODE)
    for folder in late:
        roots.bind_folder(folder, root)
    roots.mount_processes(root)


def confine(settings: Settings, root: str, descriptors: tuple[int, ...]) -> None:
    """Close the walls. After this the process is its user's: nothing that it does can take them down.

    descriptors: the pipes of stdout and stderr, which become the instance's own so that it can reopen them.
    """
    _enter(settings, root, descriptors)
    _close(settings)


def confine_zygote(settings: Settings, root: str, descriptors: tuple[int, ...]) -> None:
    """Close the walls around a deployment zygote: an instance's, in which it can still give each fork its own.

    Not for ``landlock``, whose rules name ``/proc/self``: in a fork of the process that made them that is another.

    For that it gets capabilities over a user namespace of its own, which has nothing in it but itself and its
    forks; of the system calls that an instance may not use it keeps those that forks are confined with.
    """
    _enter(settings, root, descriptors)
    if sys.platform != "linux":
        return
    _keep_down()
    if processes.has_namespaces(settings.level):
        processes.enter_user_namespace()
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
        processes.go_on_as_process_1()
        roots.mount_processes("")
    if settings.level == "namespaces" and _counts_processes_by_namespace():
        resource.setrlimit(
            resource.RLIMIT_NPROC, (settings.processes, resource.getrlimit(resource.RLIMIT_NPROC)[1])
        )
    if settings.filter:
        filters.restrict_calls(may_confine=True)


def prepare_fork(level: str, late: list[str]) -> None:
    """Do for a fork of a deployment zygote what ``prepare`` does: a disk, ``/proc``, namespaces of its own."""
    os.setsid()
    if not processes.has_namespaces(level):
        processes.adopt_orphans()
        return
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
    hidden = [(folder, os.open(folder, os.O_PATH | os.O_CLOEXEC)) for folder in (roots.CODE, *late)]
    roots.mount_disk("")
    for folder, descriptor in hidden:
        os.makedirs(folder, exist_ok=True)
        kernel.bind(f"/proc/self/fd/{descriptor}", folder, readonly=True)
        os.close(descriptor)
    roots.mount_processes("")


def confine_fork(settings: Settings) -> None:
    """Close the walls around a fork of a deployment zygote: what its zygote could still do ends here."""
    if sys.platform != "linux":
        return
    _keep_down()
    if settings.level == "namespaces" and _counts_processes_by_namespace():
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    _close(settings)


def _enter(settings: Settings, root: str, descriptors: tuple[int, ...]) -> None:
    """Go where the function's code is, with its limits, as its user."""
    own_root = processes.has_namespaces(settings.level)
    if own_root:
        if settings.disk_folder:
            for name, place in (("tmp", "/tmp"), ("app", roots.HOME)):
                kernel.bind(f"{settings.disk_folder}/{name}", root + place, readonly=False)
        kernel.bind(settings.code, root + roots.CODE, readonly=True)
        if settings.uid and os.geteuid() == 0:
            os.chown(root + roots.HOME, settings.uid, settings.uid)
        kernel.sethostname(settings.hostname)
        kernel.change_root(root)
    _limit(settings)
    if settings.uid and own_root and os.geteuid() == 0:
        for descriptor in descriptors:
            os.fchown(descriptor, settings.uid, settings.uid)
        os.setgroups([])
        os.setresgid(settings.uid, settings.uid, settings.uid)
        os.setresuid(settings.uid, settings.uid, settings.uid)
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # changing users took it, and with it the right to /proc/self


def _keep_down() -> None:
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _close(settings: Settings) -> None:
    """Give up what is left: capabilities, then files and system calls, as the level has it."""
    if sys.platform != "linux":
        return
    if settings.level == "namespaces" and _counts_processes_by_namespace():
        # The kernel counts a user's processes per user namespace: in one of its own an instance's are its alone.
        # The limit is set inside: set before, it would also bound what all instances have together.
        processes.enter_user_namespace()
        _lower(resource.RLIMIT_NPROC, settings.processes)
    kernel.drop_capabilities()
    _keep_down()
    if settings.level == "landlock":
        filters.restrict_files(_readable(settings), [settings.home, *_SINKS], _RANDOM)
    if settings.filter:
        filters.restrict_calls()


def _readable(settings: Settings) -> list[str]:
    system = [f"/{name}" for name in roots.SYSTEM] + [f"/etc/{name}" for name in roots.ETC]
    return [*system, *_PROC, settings.code, *roots.interpreter_folders()]


_SINKS = ("/dev/null", "/dev/zero", "/dev/full")
_RANDOM = ("/dev/random", "/dev/urandom")
_PROC = tuple(
    "/proc/" + name for name in ("self", "cpuinfo", "loadavg", "meminfo", "stat", "sys", "uptime", "version")
)


def _limit(settings: Settings) -> None:
    """Set the limits that hold per process; where there are cgroups, memory and processes are theirs."""
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: _DESCRIPTORS, resource.RLIMIT_FSIZE: settings.disk}
    if settings.level not in ("cgroup", "none"):
        limits[resource.RLIMIT_DATA] = settings.memory
    for kind, wanted in limits.items():
        _lower(kind, wanted)


def _lower(kind: int, wanted: int) -> None:
    """Set a limit for good, no higher than it is."""
    hard = resource.getrlimit(kind)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (value, value))


def _counts_processes_by_namespace() -> bool:
    """Say whether RLIMIT_NPROC counts within this user namespace (Linux 5.14): before, all the user's count."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (5, 14)
