"""Python: the archive is the deployment; nothing is installed (``requirements.txt`` is ignored, as published).

A missing module or handler shows at request time, as with the real platform, so nothing of it is checked here.
"""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.builds.archive import unpack
from fnkit.platform.builds.job import STEPS, BuildJob

__all__ = ["build_python"]


def build_python(job: BuildJob, folder: Path) -> None:
    """Fill ``folder``, which becomes ``/home/app/function``.

    Raises:
        BuildFailed, BuildStopped, OSError: see ``archive.unpack``.
    """
    job.progress(STEPS[0])
    size = unpack(job, folder)
    job.log.write(f"Unpacked {size} bytes.")
    job.progress(STEPS[1])
    module = folder / f"{job.handler.rpartition('.')[0]}.py"
    if not module.is_file() and not module.with_suffix("").is_dir():
        job.log.write(
            f"The handler {job.handler} needs {module.relative_to(folder)}, which is not in the archive; "
            "requests will be answered with 500."
        )
