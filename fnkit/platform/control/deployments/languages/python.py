"""Builds functions in Python: the archive is the deployment, and its modules are compiled to bytecode.

Nothing is installed, and ``requirements.txt`` is ignored, as on the real platform.
"""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.control.deployments.archive import compile_sources, measure_dependencies, unpack_code
from fnkit.platform.control.deployments.build_job import BuildJob
from fnkit.platform.control.deployments.dependencies import link_tree
from fnkit.platform.control.images.images import DEPENDENCIES
from fnkit.platform.directory_tree import remove_tree

_DEPENDENCIES = DEPENDENCIES["Python"]


def build_python(job: BuildJob, directory: Path) -> str:
    """Fill the directory, with the kept dependencies of an earlier build if they are the same.

    Raises:
        BuildFailed: The archive is invalid.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    measured = measure_dependencies(job, _DEPENDENCIES) if job.dependencies else None
    kept = job.dependencies.find(measured.key) if measured and job.dependencies else None
    is_linked = kept is not None and _link(kept, directory / _DEPENDENCIES)
    unpack_code(job, directory, measured if is_linked else None)
    _check_handler(job, directory)
    # After the change of owner: the compiler runs as the function's user and writes next to the sources.
    if is_linked:
        job.log.write("The dependencies are those of an earlier deployment.")
    elif (directory / _DEPENDENCIES).is_dir() and not (directory / _DEPENDENCIES).is_symlink():
        compile_sources(job, directory / _DEPENDENCIES)
        if measured is not None and job.dependencies is not None:
            job.dependencies.keep(directory / _DEPENDENCIES, measured.key)
            job.dependencies.remove(kept_key=measured.key)
    compile_sources(job, directory, excluded=_DEPENDENCIES)
    return measured.key if measured is not None else ""


def _check_handler(job: BuildJob, directory: Path) -> None:
    module = directory / f"{job.handler.rpartition('.')[0]}.py"
    if not module.is_file() and not module.with_suffix("").is_dir():
        job.log.write(
            f"The handler {job.handler} needs {module.relative_to(directory)}, which is not in the archive; "
            "requests will be answered with 500."
        )


def _link(kept: Path, target: Path) -> bool:
    """Return whether hard links to kept dependencies could be made; else nothing is left."""
    try:
        link_tree(kept, target)
    except OSError:
        remove_tree(target)
        return False
    return True
