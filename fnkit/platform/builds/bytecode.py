"""Compiles a deployment's sources, so that a cold start loads bytecode.

Instances see their code read-only, so each start would compile every module again. The function's own interpreter
compiles, in a child process that runs as the function's user with limits on time and memory, because sources are
untrusted input to a compiler too. Sources that do not compile are skipped: their import reports the error.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from fnkit.platform.builds.job import BuildJob

__all__ = ["compile_sources"]

_COMPILE_TIMEOUT: Final = 120
_POLL_INTERVAL: Final = 0.02
_COMPILE_PROGRAM: Final = """
import os, py_compile, resource, sys
user = int(sys.argv[1])
if user:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.nice(5)
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for folder, folders, names in os.walk("."):
    folders[:] = [name for name in folders if name.isidentifier() and name not in ("__pycache__", "tests")]
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".py") and not os.path.islink(path):
            try:
                py_compile.compile(path, doraise=True, invalidation_mode=mode)
            except Exception:
                pass
"""
"""Runs on Python 3.9 and later. It changes the user itself: that user may be unable to execute the interpreter.

The sources of a deployment never change, so imports need not compare the bytecode with them (unchecked hash). Tests
of packages are skipped: they are two thirds of pandas, and handlers do not import them.
"""


def compile_sources(job: BuildJob, directory: Path) -> None:
    """Compile every module in a directory that belongs to the job's user.

    Raises:
        BuildStopped: The build was stopped.
    """
    if job.interpreter is None or next(directory.rglob("*.py"), None) is None:
        return
    try:
        process = subprocess.Popen(
            [job.interpreter, "-I", "-S", "-c", _COMPILE_PROGRAM, str(job.uid)],
            cwd=directory,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        job.log.write(f"Compiled nothing: {error.strerror or error}.")
        return
    try:
        deadline = time.monotonic() + _COMPILE_TIMEOUT
        while process.poll() is None and time.monotonic() < deadline:
            job.check()
            job.stop.wait(_POLL_INTERVAL)
    finally:
        process.kill()
        process.wait()
