"""The sandbox of one instance, applied by the instance itself before any user code runs.

A zygote enters its namespaces and builds a root (``rootfs``) once. Each fork calls ``prepare`` while it waits for
a deployment, and ``confine`` when it is assigned to one. ``docs/isolation.md`` lists what each level enforces.
Standard library only, Python 3.8 and later, Linux only.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import typing

from . import filters, namespaces, skeleton, syscalls
from .rootfs import READ_ONLY, RootFilesystem

_MAX_DESCRIPTORS = 4096
_BUILD_MEMORY = 1 << 30
_BUILD_FILE_SIZE = 1 << 26
_WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_READABLE_DEVICES = ("/dev/random", "/dev/urandom")
_PROC_PATHS = tuple(
    "/proc/" + name for name in ("self", "cpuinfo", "loadavg", "meminfo", "stat", "sys", "uptime", "version")
)


class SandboxSettings:
    """The settings of an instance that concern its sandbox, with sizes in bytes."""

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
        self.fresh = bool(values["fresh"])
        self.directories = [str(path) for path in typing.cast("list[object]", values["directories"])]


def prepare(level: str, root: RootFilesystem, cgroups: list[str], disk: str, *, is_zygote: bool = False) -> None:
    """Begin the slow part of a sandbox, which depends on no deployment: join cgroups, mount a root and ``/proc``.

    Args:
        level: The isolation level.
        root: The root that the zygote has built.
        cgroups: The ``cgroup.procs`` files to join.
        disk: A directory for what the process writes.
        is_zygote: The process becomes a deployment zygote.
    """
    # Cgroups first: memory of a tmpfs is charged to the group of the process that fills it, and the group's files
    # are out of reach once the root has changed.
    for path in cgroups:
        namespaces.write_kernel_file(path, "0")
    if not _leave_session(level):
        return
    root.mount(disk, is_zygote=is_zygote)
    namespaces.mount_proc(root.path)


def enter_root(level: str, root: RootFilesystem) -> None:
    """Complete the slow part. No path leads outside after this, except to the code of functions."""
    if namespaces.has_namespaces(level):
        root.enter()


def _leave_session(level: str) -> bool:
    """Leave the session, the keyring and the namespaces of the zygote.

    Returns:
        Whether this process has namespaces of its own now.
    """
    os.setsid()
    syscalls.join_session_keyring()
    if not namespaces.has_namespaces(level):
        namespaces.become_subreaper()
        return False
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)
    return True


def confine(settings: SandboxSettings, root: RootFilesystem, descriptors: tuple[int, ...]) -> None:
    """Complete the sandbox. After this no code of the process can undo it.

    Args:
        settings: The settings of the instance.
        root: The root that this process has entered.
        descriptors: The stdout and stderr pipes. They are given to the instance's user so that it can reopen them.
    """
    _assign(settings, root, descriptors)
    _drop_privileges(settings)


def confine_ahead(settings: SandboxSettings, descriptors: tuple[int, ...]) -> None:
    """Complete the sandbox of a program that is executed before it is known which function it will serve.

    Another process, which keeps its rights, completes the root later (``assign_ahead``). Not possible at level
    ``landlock``, whose rules name the code of the function.

    Args:
        settings: What is the same for all functions that it may serve, with a user of its own.
        descriptors: The stdout and stderr pipes.
    """
    _set_limits(settings)
    _become_user(settings, descriptors)
    _drop_privileges(settings)


def assign_ahead(settings: SandboxSettings, root: RootFilesystem, uid: int) -> None:
    """Complete the root of a program that was executed ahead, from a process that shares it.

    Args:
        settings: The settings of the instance.
        root: The root that both processes have entered.
        uid: The user of the program, as root; 0 for the current one.
    """
    uid = uid if os.geteuid() == 0 else 0
    root.mount_code(settings.code, uid)
    if uid and root.storage != READ_ONLY:
        os.chown(skeleton.CODE_PATH, uid, uid)  # the directory belongs to the user of the function
    root.leave_outside()
    syscalls.sethostname(settings.hostname)


def confine_zygote(settings: SandboxSettings, root: RootFilesystem, descriptors: tuple[int, ...]) -> RootFilesystem:
    """Complete the sandbox of a deployment zygote: that of an instance, but able to give each fork its own.

    The zygote gets capabilities over a user namespace that contains only itself and its forks, and keeps the system
    calls that confine forks. Not possible at level ``landlock``: its rules name the inode of ``/proc/self``, which
    is another one in a fork.

    Returns:
        The root of its forks.
    """
    _assign(settings, root, descriptors, is_zygote=True)
    if sys.platform != "linux":
        return root
    _set_process_attributes()
    # The user namespace comes before the others, so that its owner, the function's user, has capabilities over
    # them. A PID namespace takes effect in the next fork only, and its /proc has to be mounted from inside.
    if namespaces.has_namespaces(settings.level):
        namespaces.enter_user_namespace()
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        namespaces.continue_as_pid_1()
        namespaces.mount_proc("")
        root = root.for_forks()
    if settings.level == "namespaces" and _is_nproc_per_user_namespace():
        resource.setrlimit(
            resource.RLIMIT_NPROC, (settings.processes, resource.getrlimit(resource.RLIMIT_NPROC)[1])
        )
    if settings.filter:
        filters.restrict_system_calls(allow_sandbox_calls=True)
    return root


def prepare_fork(level: str, root: RootFilesystem, disk: str) -> None:
    """Enter namespaces and a root of its own, for a fork of a deployment zygote.

    Args:
        level: The isolation level.
        root: The root that the zygote has built for its forks.
        disk: A directory for what the process writes.
    """
    if not _leave_session(level):
        return
    root.mount(disk)
    namespaces.mount_proc(root.path)
    root.enter()
    root.mount_code(".", 0)
    root.leave_outside()


def confine_build(uid: int) -> None:
    """Confine a process that builds in the current directory, without namespaces and so equally at each level.

    It can write to the directory, and read the system and the interpreter. It has no sockets and no children.

    Args:
        uid: The user to change to, 0 for none. Modules that are needed must have been imported: this user may be
            unable to read the interpreter.

    Raises:
        OSError: The kernel has no landlock, or the machine has no system call filter.
    """
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: _BUILD_MEMORY,
        resource.RLIMIT_FSIZE: _BUILD_FILE_SIZE,
    }
    for kind, wanted in limits.items():
        _lower_limit(kind, wanted)
    if sys.platform != "linux":
        return
    syscalls.drop_capabilities()
    _set_process_attributes()
    readable = [f"/{name}" for name in skeleton.SYSTEM_DIRECTORIES] + skeleton.interpreter_directories()
    filters.restrict_files(readable, [".", *_WRITABLE_DEVICES], _READABLE_DEVICES)
    filters.restrict_build()


def confine_fork(settings: SandboxSettings) -> None:
    """Complete the sandbox of a fork of a deployment zygote: drop what the zygote was allowed in order to fork."""
    if sys.platform != "linux":
        return
    _set_process_attributes()
    if settings.level == "namespaces" and _is_nproc_per_user_namespace():
        # The zygote lowered its soft limit only. It is raised again before this fork gets a user namespace, and a
        # count, of its own: it would otherwise bound the sum over all forks.
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
    _drop_privileges(settings)


def _assign(
    settings: SandboxSettings, root: RootFilesystem, descriptors: tuple[int, ...], *, is_zygote: bool = False
) -> None:
    """Change to the code, the limits and the user of the deployment."""
    if namespaces.has_namespaces(settings.level):
        if settings.fresh:
            root.move_tmp_to_disk()
        root.mount_code(settings.code, settings.uid if os.geteuid() == 0 else 0)
        if is_zygote:
            root.leave_other_codes(settings.code)
        else:
            root.leave_outside()
        syscalls.sethostname(settings.hostname)
    _set_limits(settings)
    _become_user(settings, descriptors)


def _become_user(settings: SandboxSettings, descriptors: tuple[int, ...]) -> None:
    if settings.uid and namespaces.has_namespaces(settings.level) and os.geteuid() == 0:
        for descriptor in descriptors:
            os.fchown(descriptor, settings.uid, settings.uid)
        # Groups first, the user last: without root's capabilities the groups cannot be changed.
        os.setgroups([])
        os.setresgid(settings.uid, settings.uid, settings.uid)
        os.setresuid(settings.uid, settings.uid, settings.uid)
    if sys.platform == "linux":
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # cleared by setresuid; /proc/self belongs to root without it


def _set_process_attributes() -> None:
    """Set the process attributes that a change of user or namespace clears, or that later steps require.

    No new privileges: required for seccomp and landlock without capabilities. The parent-death signal is cleared
    when credentials change, so it is set again after each change.
    """
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _drop_privileges(settings: SandboxSettings) -> None:
    """Drop what is left: capabilities, then access to files and system calls, as the level requires."""
    if sys.platform != "linux":
        return
    if settings.level == "namespaces" and _is_nproc_per_user_namespace():
        # RLIMIT_NPROC counts a user's processes per user namespace, so a new one counts the instance's alone. The
        # limit is set inside it: set before, it would also bound the sum over all instances of the user.
        namespaces.enter_user_namespace()
        _lower_limit(resource.RLIMIT_NPROC, settings.processes)
    # The order is fixed: entering a user namespace grants capabilities, so they are dropped after it; the
    # system-call filter comes last because it refuses calls used above.
    syscalls.drop_capabilities()
    _set_process_attributes()
    if settings.level == "landlock":
        filters.restrict_files(_readable_paths(settings), [settings.home, *_WRITABLE_DEVICES], _READABLE_DEVICES)
        filters.restrict_shared_processes()
    if settings.filter:
        filters.restrict_system_calls()


def _readable_paths(settings: SandboxSettings) -> list[str]:
    system = [f"/{name}" for name in skeleton.SYSTEM_DIRECTORIES] + [
        f"/etc/{name}" for name in skeleton.ETC_ENTRIES
    ]
    own = [settings.code, *skeleton.interpreter_directories(), *settings.directories]
    return [*system, *_PROC_PATHS, *own]


def _set_limits(settings: SandboxSettings) -> None:
    """Set the limits per process. Where there are cgroups, they limit memory and processes."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _MAX_DESCRIPTORS,
        resource.RLIMIT_FSIZE: settings.disk,
    }
    if settings.level not in ("cgroup", "none"):
        limits[resource.RLIMIT_DATA] = settings.memory
    for kind, wanted in limits.items():
        _lower_limit(kind, wanted)


def _lower_limit(limit: int, wanted: int) -> None:
    """Set the soft and the hard limit, no higher than the current hard limit."""
    hard = resource.getrlimit(limit)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(limit, (value, value))


def _is_nproc_per_user_namespace() -> bool:
    """Return whether RLIMIT_NPROC counts per user namespace (Linux 5.14), not per user of the machine."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor)) >= (5, 14)
