"""Runs one build tool in its sandbox, watches what it uses, and leaves none of its processes behind.

Standard input is a line of JSON with the settings, and ends when the build is to be ended: also if the platform is
killed. The tool's output goes to standard output. A line of JSON on standard error is the outcome::

    {"exit": 1, "ended": ""}

``exit`` is the tool's exit code, negative for a signal; ``ended`` is ``memory``, ``processes`` or ``stopped`` if it
was killed, ``sandbox`` if it was not started because the machine cannot confine it. Standard library only, Python
3.8 and later.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import typing

from ..mirror import mirror
from ..sandbox import namespaces, syscalls
from ..sandbox.build_sandbox import NAMESPACES, BuildSandbox

_CHECK_SECONDS = 0.25
_NO_SANDBOX = 125
NOT_MIRRORED, _NOT_FOUND = 126, 127
"""Exit codes of the tool's process: the sandbox failed, the sources could not be copied, the tool did not start."""


def main(_arguments: list[str]) -> None:
    """Run a tool.

    The settings are those of ``BuildSandbox``, and ``arguments``, ``environment``, ``directory`` (the working
    directory), ``mirrors`` (pairs of directories, of which the second becomes like the first before the tool
    starts, with the names that it keeps), ``processes`` and ``total_memory`` in bytes. All paths are shown ones.
    """
    settings = json.loads(sys.stdin.readline())
    sandbox = BuildSandbox(settings)
    processes = int(settings["processes"])
    limit = processes + _count_threads(sandbox.uid or os.geteuid())
    failures, failing = os.pipe()
    try:
        sandbox.separate_processes()
    except OSError as error:
        _report(_NO_SANDBOX, "sandbox", str(error))
        return
    child = os.fork()
    if child == 0:
        os.close(failures)
        _start(sandbox, settings, limit, failing)
    os.close(failing)
    watch = _Watch(child, sandbox, processes, int(settings["total_memory"]))
    ended = watch.wait()
    code = watch.end()
    reason = os.read(failures, 4096).decode()
    _report(code, "sandbox" if reason else ended, reason)


def _report(code: int, ended: str, detail: str) -> None:
    os.write(2, json.dumps({"exit": code, "ended": ended, "detail": detail}).encode() + b"\n")


def _start(sandbox: BuildSandbox, settings: dict[str, typing.Any], limit: int, failing: int) -> typing.NoReturn:
    """Become the tool, or process 1 of its namespace. Write what fails to a descriptor."""
    try:
        if sys.platform == "linux":  # process 1 of a namespace takes all others with it
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        os.dup2(1, 2)
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        _raise_oom_score()
        sandbox.enter()
        if sandbox.level == NAMESPACES:
            child = os.fork()
            if child:
                os.close(failing)
                _wait_as_process_1(child)
        sandbox.confine(limit)
    except Exception as error:
        os.write(failing, (str(error) or type(error).__name__).encode())
        os._exit(_NO_SANDBOX)
    try:
        os.close(failing)
        _mirror_all(settings["mirrors"])
        os.chdir(settings["directory"])
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and programs inherit that
            signal.signal(number, signal.SIG_DFL)
        arguments = settings["arguments"]
        os.execve(arguments[0], arguments, settings["environment"])
    except OSError as error:
        os.write(1, f"{error.filename or ''}: {error.strerror}\n".encode())
    os._exit(_NOT_FOUND)


def _mirror_all(mirrors: list[tuple[str, str, list[str]]]) -> None:
    try:
        for source, target, kept in mirrors:
            mirror(source, target, set(kept))
    except Exception as error:
        os.write(1, f"The sources cannot be copied: {str(error) or type(error).__name__}\n".encode())
        os._exit(NOT_MIRRORED)


def _wait_as_process_1(child: int) -> typing.NoReturn:
    """Wait for the tool and reap what its descendants leave behind. The kernel kills the rest at the end."""
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _raise_oom_score() -> None:
    """If the machine runs out of memory, let the kernel kill a build first."""
    try:
        namespaces.write_kernel_file("/proc/self/oom_score_adj", "1000")
    except OSError:
        return


class _Watch:
    """Watches the processes of a tool.

    Args:
        child: The tool, or process 1 of its namespace.
        sandbox: Its sandbox.
        processes: How many processes and threads it may have.
        memory: How many bytes they may use together.
    """

    def __init__(self, child: int, sandbox: BuildSandbox, processes: int, memory: int) -> None:
        self._child = child
        self._has_namespace = sandbox.level == NAMESPACES
        self._processes = processes
        self._memory = memory
        self._status = None  # type: int | None

    def wait(self) -> str:
        """Wait until the tool ends or has to be ended; return why it has to be."""
        poller = select.poll()
        poller.register(0, select.POLLIN)
        timeout = _CHECK_SECONDS
        if sys.version_info >= (3, 9) and hasattr(os, "pidfd_open"):
            poller.register(os.pidfd_open(self._child), select.POLLIN)
        else:
            timeout = 0.02
        while True:
            events = poller.poll(timeout * 1000)
            if self._poll():
                return ""
            if any(descriptor == 0 for descriptor, _ in events):
                return "stopped"
            if ended := self._exceeded():
                return ended

    def _poll(self) -> bool:
        pid, status = os.waitpid(self._child, os.WNOHANG)
        if pid:
            self._status = status
        return bool(pid)

    def _exceeded(self) -> str:
        count = memory = 0
        for pid in _descendants():
            threads, used = _usage(pid)
            count += threads
            memory += used
        if memory > self._memory:
            return "memory"
        return "processes" if count >= self._processes else ""

    def end(self) -> int:
        """Kill all processes of the tool, and return its exit code."""
        while self._status is None or (not self._has_namespace and namespaces.list_children()):
            for pid in _descendants() if not self._has_namespace else [self._child]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue
            ended = os.wait()
            while ended[0]:
                if ended[0] == self._child:
                    self._status = ended[1]
                ended = _reap()
        status = self._status
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _reap() -> tuple[int, int]:
    """Return a process that has ended with its status; the process is 0 if there is none."""
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0


def _descendants() -> list[int]:
    """Return the processes that this one has started, and theirs. Those that end meanwhile may be missing."""
    found = list(namespaces.list_children())
    for pid in found:  # it grows meanwhile
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/children") as file:
                    found += map(int, file.read().split())
            except OSError:
                continue
    return found


def _usage(pid: int) -> tuple[int, int]:
    """Return the number of threads of a process, and its bytes of anonymous and shared memory."""
    try:
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0, 0
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            lines = [line.split() for line in file]
        sizes = [int(line[1]) for line in lines if line[0] in ("Pss_Anon:", "Pss_Shmem:")]
        if sizes:
            return threads, sum(sizes) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        with open(f"/proc/{pid}/statm") as file:
            return threads, int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return threads, 0


def _count_threads(uid: int) -> int:
    """Return how many processes and threads of the machine belong to a user."""
    count = 0
    for name in os.listdir("/proc") if sys.platform == "linux" else ():
        if name.isdecimal():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return count
