"""The way from a job to a finished folder, whatever the language: built aside, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from fnkit.contract.runtimes import find_runtime
from fnkit.platform.builds.bytecode import compile_sources
from fnkit.platform.builds.job import STEPS, BuildFailed, BuildJob
from fnkit.platform.builds.python import build_python

__all__ = ["build"]

LanguageBuilder: TypeAlias = Callable[[BuildJob, Path], None]
_BUILDERS: Final[dict[str, LanguageBuilder]] = {"Python": build_python}


def build(job: BuildJob) -> None:
    """Make ``job.target``, or leave nothing behind. Blocks; runs in a thread.

    Raises:
        BuildFailed: the archive cannot become a deployment, or this platform does not run its language.
        BuildStopped: the job was told to stop.
        OSError: the disk says no.
    """
    runtime = find_runtime(job.runtime)
    builder = _BUILDERS.get(runtime.language) if runtime else None
    if builder is None:
        text = f"the runtime {job.runtime} is not available on this platform"
        raise BuildFailed(f"This platform does not run {job.runtime}.", message=text)
    aside = job.target.with_name(f".{job.target.name}.building")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700, parents=True)
    try:
        builder(job, aside)
        if job.uid:
            _give(aside, job.uid)
        compile_sources(job, aside)
        job.progress(STEPS[2])
        job.check()
        shutil.rmtree(job.target, ignore_errors=True)
        aside.rename(job.target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _give(folder: Path, uid: int) -> None:
    """Make one user the owner, so that its instances can read the code and no other function's can.

    Our own group may read it: without namespaces instances stay our user, but for the rights of the superuser.
    """
    ours = os.getgid()
    folder.chmod(0o750)
    for parent, folders, names in os.walk(folder):
        os.chown(parent, uid, ours)
        for name in (*folders, *names):
            os.chown(Path(parent, name), uid, ours, follow_symlinks=False)
