"""Builds the directory of a deployment, whatever its language: in a temporary directory, then renamed.

For Python the archive is the deployment: nothing is installed, and ``requirements.txt`` is ignored, as on the real
platform.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from fnkit.contract.limits import BUILD_MAX_SECONDS
from fnkit.contract.runtimes import find_runtime
from fnkit.platform.control.deployments.archive import (
    ArchivedDependencies,
    compile_sources,
    measure_dependencies,
    unpack,
)
from fnkit.platform.control.deployments.build_job import STEPS, BuildFailed, BuildJob
from fnkit.platform.control.deployments.dependencies import link_tree
from fnkit.platform.control.images.images import DEPENDENCIES
from fnkit.platform.directory_tree import remove_tree, walk_tree

LanguageBuilder: TypeAlias = Callable[[BuildJob, Path, ArchivedDependencies | None], None]


def build_python(job: BuildJob, directory: Path, left_out: ArchivedDependencies | None) -> None:
    """Fill the directory that becomes ``/home/app/function``.

    Raises:
        BuildFailed: The archive is invalid.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    job.progress(STEPS[0])
    size = unpack(job, directory, left_out)
    job.log.write(f"Unpacked {size} bytes.")
    job.progress(STEPS[1])
    module = directory / f"{job.handler.rpartition('.')[0]}.py"
    if not module.is_file() and not module.with_suffix("").is_dir():
        job.log.write(
            f"The handler {job.handler} needs {module.relative_to(directory)}, which is not in the archive; "
            "requests will be answered with 500."
        )


_BUILDERS: Final[dict[str, LanguageBuilder]] = {"Python": build_python}


def build(job: BuildJob) -> str:
    """Create ``job.target``, or leave nothing behind. Blocks; call it in a thread.

    Returns:
        The key of the dependencies: see ``Deployment``.

    Raises:
        BuildFailed: The archive is invalid, the build takes too long, or the platform does not run the language.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    job = dataclasses.replace(job, deadline=job.now() + BUILD_MAX_SECONDS)
    runtime = find_runtime(job.runtime)
    builder = _BUILDERS.get(runtime.language) if runtime else None
    if runtime is None or builder is None:
        text = f"the runtime {job.runtime} is not available on this platform"
        raise BuildFailed(f"This platform does not run {job.runtime}.", message=text)
    temporary = job.target.with_name(f".{job.target.name}.building")
    remove_tree(temporary)
    temporary.mkdir(mode=0o700, parents=True)
    try:
        key = _fill(job, temporary, builder, DEPENDENCIES.get(runtime.language, ""))
        job.progress(STEPS[2])
        job.check()
        remove_tree(job.target)
        temporary.rename(job.target)
    except BaseException:
        remove_tree(temporary)
        raise
    return key


def _fill(job: BuildJob, directory: Path, builder: LanguageBuilder, dependencies: str) -> str:
    """Build into a directory, with the kept dependencies of an earlier build if they are the same.

    Returns:
        The key of the dependencies, empty if they are not kept.
    """
    measured = measure_dependencies(job, dependencies) if dependencies and job.dependencies else None
    kept = job.dependencies.find(measured.key) if measured and job.dependencies else None
    is_linked = kept is not None and _link(kept, directory / dependencies)
    builder(job, directory, measured if is_linked else None)
    if job.uid:
        _change_owner(directory, job.uid)
    # After the change of owner: the compiler runs as the function's user and writes next to the sources.
    if is_linked:
        job.log.write("The dependencies are those of an earlier deployment.")
    elif dependencies and (directory / dependencies).is_dir() and not (directory / dependencies).is_symlink():
        compile_sources(job, directory / dependencies)
        if measured is not None and job.dependencies is not None:
            job.dependencies.keep(directory / dependencies, measured.key)
            job.dependencies.remove(kept_key=measured.key)
    compile_sources(job, directory, excluded=dependencies)
    return measured.key if measured is not None else ""


def _link(kept: Path, target: Path) -> bool:
    """Return whether hard links to kept dependencies could be made; else nothing is left."""
    try:
        link_tree(kept, target)
    except OSError:
        remove_tree(target)
        return False
    return True


def _change_owner(directory: Path, uid: int) -> None:
    """Make a user the owner of a tree, so that its instances can read the code and those of other functions cannot.

    The platform's own group keeps access to the directory: without namespaces, instances run as the platform's
    user, without the capabilities that ignore permissions. Everything in it gets the group of the user, because
    instances with preloaded modules know no other group, and could not write to the files.
    """
    group = os.getgid()
    directory.chmod(0o750)
    os.chown(directory, uid, group)
    for entry in walk_tree(directory):
        os.chown(entry.name, uid, uid, dir_fd=entry.parent, follow_symlinks=False)
