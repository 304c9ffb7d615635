"""Bytecode beside a deployment's sources, so that a cold start imports instead of compiling.

Instances see their code read-only and start often; without this each start compiles every module again. The
function's own interpreter compiles, in a child that is the function's user and is bounded in time and memory:
a source is a stranger's, also to a compiler. What does not compile is left as it is, it shows when it is imported.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from fnkit.platform.builds.job import BuildJob

__all__ = ["compile_sources"]

_SECONDS: Final = 120
_PAUSE: Final = 0.02
_PROGRAM: Final = """
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
"""Runs on Python 3.9 and later. It becomes the user by itself: an interpreter may lie where that user cannot go.

Nobody changes a deployment's sources, so no start need check the bytecode against them. Packages' own tests are
left out: they are two thirds of pandas, and no handler imports them.
"""


def compile_sources(job: BuildJob, folder: Path) -> None:
    """Compile every module in ``folder``, which belongs to the job's user already.

    Raises:
        BuildStopped: the job was told to stop.
    """
    if job.interpreter is None or next(folder.rglob("*.py"), None) is None:
        return
    try:
        process = subprocess.Popen(
            [job.interpreter, "-I", "-S", "-c", _PROGRAM, str(job.uid)],
            cwd=folder,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        job.log.write(f"Compiled nothing: {error.strerror or error}.")
        return
    try:
        deadline = time.monotonic() + _SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            job.check()
            job.stop.wait(_PAUSE)
    finally:
        process.kill()
        process.wait()
