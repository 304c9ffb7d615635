"""Records which functions of fnkit run, in every process of a platform, without changing the platform.

``CallTrace.environment`` has the variables for the ``fnkit`` command. A ``sitecustomize`` module on ``PYTHONPATH``
traces the command, the supervisor, control and the data plane. The interpreter of a worker ignores ``PYTHONPATH``,
so the data plane's ``subprocess.Popen`` is wrapped to put the recorder before a zygote's program, which is its
standard input. The worker's code names files below ``/usr/local/lib`` instead of its own.
Each call of a function is appended to one file as a line: monotonic time, process id, source path, function.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fnkit

__all__ = ["CallTrace", "TracedCall"]

_QUIET_SECONDS = 0.05
_PACKAGE = Path(fnkit.__file__).parent

_RECORDER = """
import os, sys, threading, time

_opened = os.open({output!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
# A zygote closes low descriptors, so the file gets a high one.
import fcntl
_descriptor = fcntl.fcntl(_opened, fcntl.F_DUPFD, 200)
os.close(_opened)
_prefixes = ({package!r}, "/usr/local/lib/")


def _on_call(frame, event, argument):
    code = frame.f_code
    path = code.co_filename
    prefix = next((prefix for prefix in _prefixes if path.startswith(prefix + "fnkit/")), None)
    if prefix and code.co_name != "<module>":
        name = getattr(code, "co_qualname", code.co_name).replace(" ", "")
        line = "%.6f %d %s %s\\n" % (time.monotonic(), os.getpid(), path[len(prefix):], name)
        os.write(_descriptor, line.encode())


threading.settrace(_on_call)
sys.settrace(_on_call)
"""

_SITECUSTOMIZE = """
import os, subprocess, sys, tempfile

exec(compile(open({recorder!r}).read(), {recorder!r}, "exec"), {{}})
_start = subprocess.Popen.__init__


def _start_traced(self, arguments, *rest, **options):
    if isinstance(arguments, (list, tuple)) and "-" in map(str, arguments):
        source = options["stdin"].read()
        options["stdin"] = tempfile.TemporaryFile()
        options["stdin"].write(source.replace(b"if __name__", {recording!r} + b"if __name__", 1))
        options["stdin"].seek(0)
    _start(self, arguments, *rest, **options)


subprocess.Popen.__init__ = _start_traced
"""

_RECORDING = "exec(compile(open({recorder!r}).read(), {recorder!r}, 'exec'), {{}})\n"


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One call: ``path`` is relative to the repository."""

    time: float
    pid: int
    path: str
    function: str


class CallTrace:
    """The calls of every process that is started with ``environment``."""

    def __init__(self, directory: Path) -> None:
        self._output = directory / "calls.txt"
        self._output.touch()
        self._output.chmod(0o666)
        recorder = directory / "recorder.py"
        recorder.write_text(_RECORDER.format(output=str(self._output), package=f"{_PACKAGE.parent}/"))
        recording = _RECORDING.format(recorder=str(recorder)).encode()
        (directory / "sitecustomize.py").write_text(
            _SITECUSTOMIZE.format(recorder=str(recorder), recording=recording)
        )
        self._directory = directory

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a process, and its children, record their calls."""
        # The repository too: an installed fnkit may be another checkout than the one that the tests import.
        return {"PYTHONPATH": f"{self._directory}{os.pathsep}{_PACKAGE.parent}"}

    def calls(self, start: float, end: float) -> list[TracedCall]:
        """Return the calls of a period of ``time.monotonic``, in order."""
        return [call for call in self._read() if start <= call.time <= end]

    def is_quiet(self) -> bool:
        """Return whether no process has recorded a call for 50 ms."""
        return time.time() - self._output.stat().st_mtime > _QUIET_SECONDS

    def _read(self) -> Iterator[TracedCall]:
        for line in self._output.read_text().splitlines():
            moment, pid, path, function = line.split(" ", 3)
            if path.startswith("fnkit/"):
                yield TracedCall(float(moment), int(pid), path, function)
