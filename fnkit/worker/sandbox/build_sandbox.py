"""The sandbox of a build tool, such as a compiler, which runs programs of strangers: build scripts and plugins.

It can write to the directories of its build, and read the toolchain and the system. It has the network, to fetch
dependencies, and child processes. There are three levels, independent of the isolation level of instances:
``namespaces`` with a root directory and process ids of its own, ``landlock`` where namespaces are refused, ``none``
without either. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import typing

from . import filters, namespaces, skeleton, syscalls

NAMESPACES, LANDLOCK, NONE = "namespaces", "landlock", "none"
_ROOT_SIZE = "size=64m,mode=0755"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_READABLE_DEVICES = ("/dev/random", "/dev/urandom")
_PROC_PATHS = tuple("/proc/" + name for name in ("self", "cpuinfo", "loadavg", "meminfo", "stat", "sys", "version"))
_NICENESS = 5


class BuildDirectory:
    """A directory of a build.

    Args:
        path: Where it is.
        shown: Where the tool finds it: elsewhere only at ``namespaces``.
        is_writable: Whether the tool can write to it.
    """

    def __init__(self, path: str, shown: str, *, is_writable: bool) -> None:
        self.path = path
        self.shown = shown
        self.is_writable = is_writable


class BuildSandbox:
    """The settings of the sandbox.

    Args:
        values: ``level``, ``uid`` (0 to keep the user), ``root`` (an empty directory), ``directories`` (each
            ``[path, shown, is writable]``), ``readable`` (paths of the toolchain), and in bytes ``memory`` per
            process and ``file_size``.
    """

    def __init__(self, values: dict[str, typing.Any]) -> None:
        self.level = str(values["level"])
        self.uid = int(values["uid"]) if os.geteuid() == 0 and sys.platform == "linux" else 0
        self.root = str(values["root"])
        self.directories = [BuildDirectory(path, shown, is_writable=w) for path, shown, w in values["directories"]]
        self.readable = [str(path) for path in values["readable"] if os.path.exists(path)]
        self.memory = int(values["memory"])
        self.file_size = int(values["file_size"])

    def separate_processes(self) -> None:
        """Let the next fork be process 1 of a namespace; without namespaces, adopt orphaned descendants."""
        if self.level != NAMESPACES:
            namespaces.become_subreaper()
            return
        if os.geteuid() != 0:
            namespaces.enter_user_namespace()
        syscalls.unshare(syscalls.CLONE_NEWPID)

    def enter(self) -> None:
        """Enter a root directory that contains the directories of the build, the toolchain and the system.

        Raises:
            OSError: The machine refuses namespaces.
        """
        if self.level != NAMESPACES:
            return
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        opened = [os.open(one.path, os.O_PATH | os.O_CLOEXEC) for one in self.directories]
        syscalls.mount("tmpfs", self.root, "tmpfs", syscalls.MS_NOSUID, _ROOT_SIZE)
        umask = os.umask(0)
        covered = tuple(f"/{name}/" for name in skeleton.SYSTEM_DIRECTORIES)
        skeleton.build_skeleton(
            self.root,
            [path for path in self.readable if os.path.isdir(path) and not (path + "/").startswith(covered)],
        )
        for one in self.directories:
            descriptor = opened.pop(0)
            os.makedirs(self.root + one.shown, exist_ok=True)
            syscalls.bind(f"/proc/self/fd/{descriptor}", self.root + one.shown, readonly=not one.is_writable)
            os.close(descriptor)
        os.umask(umask)
        self._write_accounts()
        namespaces.mount_proc(self.root)
        syscalls.change_root(self.root)

    def _write_accounts(self) -> None:
        uid, gid = self.uid or os.geteuid(), self.uid or os.getegid()
        name, home = skeleton.USER_NAME, skeleton.HOME_PATH
        texts = {
            skeleton.PASSWD_PATH: f"{name}:x:{uid}:{gid}:{name}:{home}:/bin/sh\n",
            skeleton.GROUP_PATH: f"{name}:x:{gid}:\n",
        }
        for path, text in texts.items():
            with open(self.root + path, "w") as file:
                file.write(text)

    def confine(self, processes: int) -> None:
        """Complete the sandbox of the process that will execute the tool.

        Args:
            processes: The number of processes and threads that its user may have.

        Raises:
            OSError: The machine cannot confine it.
        """
        os.nice(_NICENESS)
        limits = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_DATA: self.memory,
            resource.RLIMIT_FSIZE: self.file_size,
            resource.RLIMIT_NPROC: processes,
        }
        for kind, wanted in limits.items():
            hard = resource.getrlimit(kind)[1]
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(kind, (value, value))
        if sys.platform != "linux":
            return
        if self.uid:
            self._change_user()
        if not self.uid or self.level == NAMESPACES:
            syscalls.drop_capabilities()
        # Cleared by the change of user, so they come after it.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.level == NONE:
            return
        if self.level == LANDLOCK:
            filters.restrict_files(self._readable_paths(), self._writable_paths(), _READABLE_DEVICES)
        filters.restrict_build_tool()

    def _change_user(self) -> None:
        # Without a root of its own, the user has to pass the platform's data directory, which only root can enter.
        # It keeps one capability for that; Landlock, where there is one, still decides what it can open.
        if self.level != NAMESPACES:
            # Also for access(2), by which compilers search for programs and directories (capabilities(7)).
            syscalls.prctl(syscalls.PR_SET_SECUREBITS, syscalls.SECBIT_NO_SETUID_FIXUP)
        os.setgroups([])
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)
        if self.level != NAMESPACES:
            try:
                syscalls.keep_capability(syscalls.CAP_DAC_READ_SEARCH)
            except OSError:  # containers often have only this one
                syscalls.keep_capability(syscalls.CAP_DAC_OVERRIDE)

    def _readable_paths(self) -> list[str]:
        system = [f"/{name}" for name in skeleton.SYSTEM_DIRECTORIES]
        shared = [f"/etc/{name}" for name in skeleton.ETC_ENTRIES if name != "ssl"]
        certificates = ["/etc/ssl/certs", "/etc/ssl/openssl.cnf"]  # not the private keys beside them
        own = [one.path for one in self.directories if not one.is_writable]
        return [*system, *shared, *certificates, *_PROC_PATHS, *self.readable, *own]

    def _writable_paths(self) -> list[str]:
        return [*(one.path for one in self.directories if one.is_writable), *_DEVICES]
