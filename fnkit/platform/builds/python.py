"""Builds Python deployments: the archive is the deployment; nothing is installed.

``requirements.txt`` is ignored, as on the real platform. A missing module or handler is reported at request time
there, so it is only logged here.
"""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.builds.archive import unpack
from fnkit.platform.builds.job import STEPS, BuildJob

__all__ = ["build_python"]


def build_python(job: BuildJob, directory: Path) -> None:
    """Fill the directory that becomes ``/home/app/function``.

    Raises:
        BuildFailed: The archive is invalid.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    job.progress(STEPS[0])
    size = unpack(job, directory)
    job.log.write(f"Unpacked {size} bytes.")
    job.progress(STEPS[1])
    module = directory / f"{job.handler.rpartition('.')[0]}.py"
    if not module.is_file() and not module.with_suffix("").is_dir():
        job.log.write(
            f"The handler {job.handler} needs {module.relative_to(directory)}, which is not in the archive; "
            "requests will be answered with 500."
        )
