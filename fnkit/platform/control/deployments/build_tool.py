"""Runs build tools, such as compilers, in a sandbox: sources, build scripts and plugins are a stranger's.

A tool can write to the directories of its build, and read the toolchain and the system. It gets a few variables of
the platform's environment (``build_environment``), and is killed with all its processes when it exceeds a limit,
when the build is stopped, and when the platform ends (``fnkit/worker/python/run_build_tool.py``).
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fnkit.platform.control.deployments.build_disk_meter import BuildDiskMeter
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob
from fnkit.platform.control.deployments.tool_log import ToolLog
from fnkit.platform.control.deployments.tool_process import (
    NAMESPACES,
    NOT_MIRRORED,
    ToolOutcome,
    ToolProcess,
    build_isolation,
)
from fnkit.platform.directory_tree import remove_tree
from fnkit.toolchains.build_step import Mirror

_SHOWN: Final = Path("/build")
"""Where a tool finds the directories of its build at ``namespaces``."""
_POLL_INTERVAL: Final = 0.05
_COPY_BYTES: Final = 1024 * 1024
_PROGRAM_MODE: Final = 0o755
_locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


class SandboxedBuild:
    """The directories of one build, and the tools that run on them.

    At ``namespaces`` a tool finds them below ``/build``, so that paths, and what compilers keep by path, do not
    depend on the deployment; elsewhere they are where they are.

    Args:
        job: The build.
        source: The unpacked code.
        scratch: A new directory for what is removed after the build.
        cache: What the next build of the function finds again.
        is_source_writable: Whether the result of the build is in the source.

    Attributes:
        source: As above.
        generated: Sources that the platform writes; tools can only read them.
        cache: As above.
    """

    def __init__(
        self, job: BuildJob, source: Path, scratch: Path, cache: Path, *, is_source_writable: bool
    ) -> None:
        self._job = job
        self._level = job.isolation or build_isolation()
        self.source = source
        self.generated = scratch / "generated"
        self.cache = cache
        self._temporary = scratch / "tmp"
        self._root = scratch / "root"
        self._writable = [cache, self._temporary, *([source] if is_source_writable else [])]
        for path in (self.generated, self._temporary, self._root):
            path.mkdir(mode=0o755)
        _give_to(self._temporary, job.uid)

    def shown(self, path: Path) -> str:
        """Return the path under which a tool finds a path. Outside of the directories, it is the same."""
        for directory in self._directories():
            if path.is_relative_to(directory):
                return str(self._shown_directory(directory) / path.relative_to(directory))
        return str(path)

    def _directories(self) -> list[Path]:
        return [self.source, self.generated, self.cache, self._temporary]

    def _shown_directory(self, directory: Path) -> Path:
        if self._level != NAMESPACES:
            return directory
        names = {self.source: "source", self.cache: "cache", self._temporary: "tmp"}
        return _SHOWN / names.get(directory, directory.name)

    def run(
        self,
        arguments: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        readable: Sequence[str],
        mirrors: Sequence[Mirror] = (),
        hints: Mapping[str, str] | None = None,
    ) -> None:
        """Run a tool and write its output to the build log.

        Args:
            arguments: The program, as an absolute path, and its arguments.
            directory: The working directory.
            environment: Its variables, besides ``HOME``, ``PATH`` and ``TMPDIR``.
            readable: The directories of the toolchain.
            mirrors: What is copied before it starts. Files that are the same keep their times.
            hints: Texts in its output, and what the build log says about each.

        Raises:
            BuildFailed: It failed, exceeded a limit, or cannot be confined.
            BuildStopped: The build was stopped.
        """
        settings = {
            "level": self._level,
            "uid": self._job.uid,
            "root": str(self._root),
            "directories": [
                [str(path), str(self._shown_directory(path)), path in self._writable]
                for path in self._directories()
            ],
            "readable": list(readable),
            "memory": self._job.limits.memory,
            "total_memory": self._job.limits.memory,
            "file_size": self._job.limits.disk,
            "processes": self._job.limits.processes,
            "arguments": list(arguments),
            "environment": self._base_environment(arguments[0]) | dict(environment),
            "directory": self.shown(directory),
            "mirrors": [[self.shown(one), self.shown(copy), list(kept)] for one, copy, kept in mirrors],
        }
        names = [(self.shown(copy), "") for _, copy, _ in mirrors] + self._log_names()
        log = ToolLog(self._job.log, names, hints or {})
        try:
            outcome = self._watch(settings, log)
        finally:
            log.close()
        if outcome.exit == NOT_MIRRORED:  # an earlier build left something that this one cannot remove
            remove_tree(self.cache)
        _check_outcome(Path(arguments[0]).name, outcome, self._job)

    def _log_names(self) -> list[tuple[str, str]]:
        names = {self.source: "", self.cache: "cache"}
        return [(self.shown(path), names.get(path, path.name)) for path in self._directories()]

    def _base_environment(self, program: str) -> dict[str, str]:
        return {
            "HOME": self.shown(self.cache),
            "LANG": "C.UTF-8",
            "PATH": f"{Path(program).parent}:/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": self.shown(self._temporary),
        }

    def _watch(self, settings: object, log: ToolLog) -> ToolOutcome:
        meter = BuildDiskMeter(self._writable, self._job.limits.disk)
        with ToolProcess(settings) as process:
            while process.is_running():
                log.add(process.read(_POLL_INTERVAL))
                self._job.check()
                meter.check()
            while output := process.read(0):
                log.add(output)
            return process.outcome()

    def take_program(self, path: str, target: Path) -> None:
        """Copy a program that a tool has written. Tools can put anything in its place: no link is followed.

        Args:
            path: Its path below the cache.
            target: The file to create, with its directory.

        Raises:
            BuildFailed: There is none, or it is too large.
            OSError: It cannot be written.
        """
        try:
            descriptor = _open_below(self.cache, path)
        except OSError:
            raise BuildFailed("The build succeeded, but there is no program.") from None
        with os.fdopen(descriptor, "rb") as source:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise BuildFailed("The build succeeded, but the program is no file.")
            if status.st_size > self._job.unpacked_max:
                raise BuildFailed(f"The program is larger than {self._job.unpacked_max} bytes.")
            target.parent.mkdir(mode=0o755)
            with target.open("xb") as copy:
                shutil.copyfileobj(source, copy, _COPY_BYTES)
        target.chmod(_PROGRAM_MODE)
        for created in (target, target.parent):
            _give_to(created, self._job.uid)


def _open_below(directory: Path, path: str) -> int:
    """Open a file below a directory without following links.

    Raises:
        OSError: There is none, or a link is on the way.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    *folders, name = path.split("/")
    parent = os.open(directory, flags | os.O_DIRECTORY)
    for folder in folders:
        try:
            inner = os.open(folder, flags | os.O_DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)
        parent = inner
    try:
        return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _check_outcome(tool: str, outcome: ToolOutcome, job: BuildJob) -> None:
    ended = {
        "memory": f"The build was ended: it used more than {job.limits.memory >> 20} MiB of memory.",
        "processes": f"The build was ended: it had more than {job.limits.processes} processes.",
        "killed": "The build was ended: the process that watches it was killed.",
        "sandbox": f"{tool} was not run: this machine cannot confine it ({outcome.detail}).",
    }
    if outcome.ended:
        raise BuildFailed(ended.get(outcome.ended, f"{tool} was ended."))
    if outcome.exit:
        how = f"with exit code {outcome.exit}" if outcome.exit > 0 else f"by signal {-outcome.exit}"
        raise BuildFailed(f"{tool} ended {how}.")


@contextmanager
def open_build(job: BuildJob, source: Path, *, is_source_writable: bool = False) -> Iterator[SandboxedBuild]:
    """Make the directories of a build; remove them at the end, except the cache.

    Another build of the same function, which was superseded, may still use the cache: wait for it.

    Args:
        job: The build.
        source: The unpacked code, which belongs to the user of the job.
        is_source_writable: Whether tools can write to it.

    Raises:
        BuildFailed: The build takes too long.
        BuildStopped: The build was stopped.
        OSError: The directories cannot be made.
    """
    scratch = job.target.with_name(f".{job.target.name}.scratch")
    remove_tree(scratch)
    scratch.mkdir(mode=0o700, parents=True)
    cache = job.cache or scratch / "cache"
    try:
        with _hold(cache, job):
            _prepare_cache(cache, job.uid)
            yield SandboxedBuild(job, source, scratch, cache, is_source_writable=is_source_writable)
            _limit_cache(cache, job.limits.disk // 2)
    finally:
        remove_tree(scratch)


@contextmanager
def _hold(path: Path, job: BuildJob) -> Iterator[None]:
    """Let no other build of this process use a directory.

    Raises:
        BuildFailed: Waiting for another build takes too long.
        BuildStopped: The build was stopped.
    """
    lock = _locks[path]
    while not lock.acquire(timeout=_POLL_INTERVAL):
        job.check()
    try:
        yield
    finally:
        lock.release()


def _prepare_cache(cache: Path, uid: int) -> None:
    """Create the cache, or remove it first if it belongs to another user or is no directory."""
    with suppress(OSError):
        status = cache.lstat()
        if not stat.S_ISDIR(status.st_mode) or (uid and status.st_uid != uid):
            remove_tree(cache)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    _give_to(cache, uid)


def _limit_cache(cache: Path, limit: int) -> None:
    if BuildDiskMeter([cache], limit).measure() > limit:
        remove_tree(cache)


def _give_to(path: Path, uid: int) -> None:
    if uid:
        os.chown(path, uid, uid)
