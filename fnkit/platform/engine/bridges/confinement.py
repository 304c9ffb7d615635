"""The walls around one instance, put up by the instance itself before any code of a user runs.

A zygote calls ``enter_zygote`` and, where there are namespaces, ``build_root`` once. Each child it forks calls
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
    from fnkit.platform.engine.bridges import filters, kernel
else:
    import filters
    import kernel


LEVELS = ("cgroup", "namespaces", "landlock", "none")
SCRATCH = "/run"
HOME = "/home/app"
CODE = "/home/app/function"
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store")
_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "gai.conf", "host.conf", "hosts", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "pki", "protocols",
    "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom")
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
        _enter_user_namespace()
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
    _go_on_as_process_1()
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)


def _enter_user_namespace() -> None:
    """Enter a user namespace of this process's own, in which its user keeps its number and has every capability."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _go_on_as_process_1() -> None:
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


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def interpreter_folders() -> list[str]:
    """Return the folders that this interpreter lives in and loads libraries from."""
    folders = {os.path.realpath(sys.base_prefix), os.path.realpath(sys.base_exec_prefix)}
    executable = os.path.realpath(sys.executable)
    if not any(executable.startswith(folder + "/") for folder in folders):
        folders.add(os.path.dirname(executable))
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split(None, 5)
            if fields[-1].startswith("/") and "x" in fields[1]:
                folders.add(os.path.dirname(fields[-1].strip()))
    covered = tuple(f"/{name}/" for name in _SYSTEM)
    wanted = sorted(f for f in folders if f != "/" and not (f + "/").startswith(covered))
    return [f for f in wanted if not any(f != g and f.startswith(g + "/") for g in wanted)]


def build_root(root: str) -> list[str]:
    """Make the root that all instances of this zygote see, read-only, on a tmpfs over the folder ``root``.

    Returns the interpreter's folders that lie where an instance mounts its own disk: it binds them again.
    """
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID, "size=4m,mode=0755")
    for name in _SYSTEM:
        source = "/" + name
        if os.path.islink(source):
            os.symlink(os.readlink(source), root + source)
        elif os.path.isdir(source):
            _bind_folder(source, root)
    for name in _ETC:
        _bind_any("/etc/" + name, root)
    for name in _DEVICES:
        _bind_file("/dev/" + name, root, readonly=False)
    for link, target in (
        ("/dev/fd", "/proc/self/fd"), ("/dev/stdin", "/proc/self/fd/0"), ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"), ("/dev/shm", SCRATCH + "/shm"), ("/var/tmp", "/tmp"),
    ):  # fmt: skip
        os.makedirs(os.path.dirname(root + link), exist_ok=True)
        os.symlink(target, root + link)
    for folder in ("/proc", "/tmp", SCRATCH, HOME):
        os.makedirs(root + folder, exist_ok=True)
    late = []
    for folder in interpreter_folders():
        if (folder + "/").startswith(("/tmp/", SCRATCH + "/", HOME + "/")):
            late.append(folder)
        else:
            _bind_folder(folder, root)
    kernel.mount(None, root, None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID)
    return late


def _bind_any(source: str, root: str) -> None:
    if os.path.isdir(source):
        _bind_folder(source, root)
    elif os.path.exists(source):
        _bind_file(source, root, readonly=True)


def _bind_folder(source: str, root: str) -> None:
    os.makedirs(root + source, exist_ok=True)
    kernel.bind(os.path.realpath(source), root + source, readonly=True)


def _bind_file(source: str, root: str, *, readonly: bool) -> None:
    os.makedirs(os.path.dirname(root + source), exist_ok=True)
    os.close(os.open(root + source, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.bind(os.path.realpath(source), root + source, readonly=readonly)


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


def separate_processes() -> None:
    """Let the next fork be process 1 of a namespace of its own."""
    kernel.unshare(kernel.CLONE_NEWPID)


def return_to_processes(own: int) -> None:
    """Undo ``separate_processes`` with a descriptor of this process's own namespace: once only is allowed."""
    kernel.setns(own, kernel.CLONE_NEWPID)


def prepare(level: str, root: str, cgroups: list[str], late: list[str]) -> None:
    """Do what takes time and needs to know nobody: join the cgroups, mount a disk and ``/proc``."""
    for path in cgroups:
        _write(path, "0")
    os.setsid()
    if not has_namespaces(level):
        _keep_descendants()
        return
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
    _mount_disk(root)
    os.mkdir(root + CODE)
    for folder in late:
        _bind_folder(folder, root)
    _mount_processes(root)


def _keep_descendants() -> None:
    """Stay the ancestor of everything below, daemons too, as process 1 of a namespace is: their memory counts."""
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def _mount_disk(root: str) -> None:
    """Mount a disk in memory of this instance's own, and show it where an instance may write."""
    scratch = root + SCRATCH
    kernel.mount("tmpfs", scratch, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1024m,mode=0755")
    for name, mode, place in (("tmp", 0o1777, "/tmp"), ("app", 0o755, HOME), ("shm", 0o1777, "")):
        os.mkdir(f"{scratch}/{name}")
        os.chmod(f"{scratch}/{name}", mode)
        if place:
            kernel.bind(f"{scratch}/{name}", root + place, readonly=False)


def _mount_processes(root: str) -> None:
    kernel.mount("proc", root + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


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
    if has_namespaces(settings.level):
        _enter_user_namespace()
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
        _go_on_as_process_1()
        _mount_processes("")
    if settings.level == "namespaces" and _counts_processes_by_namespace():
        resource.setrlimit(
            resource.RLIMIT_NPROC, (settings.processes, resource.getrlimit(resource.RLIMIT_NPROC)[1])
        )
    if settings.filter:
        filters.restrict_calls(may_confine=True)


def prepare_fork(level: str, late: list[str]) -> None:
    """Do for a fork of a deployment zygote what ``prepare`` does: a disk, ``/proc``, namespaces of its own."""
    os.setsid()
    if not has_namespaces(level):
        _keep_descendants()
        return
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
    hidden = [(folder, os.open(folder, os.O_PATH | os.O_CLOEXEC)) for folder in (CODE, *late)]
    _mount_disk("")
    for folder, descriptor in hidden:
        os.makedirs(folder, exist_ok=True)
        kernel.bind(f"/proc/self/fd/{descriptor}", folder, readonly=True)
        os.close(descriptor)
    _mount_processes("")


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
    namespaces = has_namespaces(settings.level)
    if namespaces:
        if settings.disk_folder:
            for name, place in (("tmp", "/tmp"), ("app", HOME)):
                kernel.bind(f"{settings.disk_folder}/{name}", root + place, readonly=False)
        kernel.bind(settings.code, root + CODE, readonly=True)
        if settings.uid and os.geteuid() == 0:
            os.chown(root + HOME, settings.uid, settings.uid)
        kernel.sethostname(settings.hostname)
        kernel.change_root(root)
    _limit(settings)
    if settings.uid and namespaces and os.geteuid() == 0:
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
        _enter_user_namespace()
        _lower(resource.RLIMIT_NPROC, settings.processes)
    kernel.drop_capabilities()
    _keep_down()
    if settings.level == "landlock":
        filters.restrict_files(_readable(settings), [settings.home, *_SINKS], _RANDOM)
    if settings.filter:
        filters.restrict_calls()


def _readable(settings: Settings) -> list[str]:
    system = [f"/{name}" for name in _SYSTEM] + [f"/etc/{name}" for name in _ETC]
    return [*system, *_PROC, settings.code, *interpreter_folders()]


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
