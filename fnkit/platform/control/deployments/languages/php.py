"""Builds functions in PHP: Composer installs what ``composer.json`` names, unless the archive has ``vendor``."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from fnkit.platform.control.deployments.archive import make_writable, unpack_code
from fnkit.platform.control.deployments.build_environment import registry_environment
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob
from fnkit.platform.control.deployments.build_tool import open_build
from fnkit.platform.control.deployments.languages.program import run_step
from fnkit.platform.directory_tree import walk_tree
from fnkit.toolchains.composer import install_step


def build_php(job: BuildJob, directory: Path) -> str:
    """Unpack the archive and install the dependencies, without running their scripts and plugins.

    Raises:
        BuildFailed: The archive is invalid, Composer is missing, or it failed.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    unpack_code(job, directory)
    file = f"{job.handler.rpartition('.')[0]}.php"
    if not (directory / file).is_file():
        job.log.write(
            f"The handler {job.handler} needs {file}, which is not in the archive; "
            "requests will be answered with 500."
        )
    if (directory / "composer.json").is_file() and not os.path.lexists(directory / "vendor"):
        _install(job, directory)
    make_writable(job, directory)
    return ""


def _install(job: BuildJob, directory: Path) -> None:
    composer = shutil.which("composer")
    if composer is None or job.interpreter is None:
        raise BuildFailed(
            "composer.json needs Composer, which was not found on this machine. Install it, for example with "
            "`apt-get install composer`, or deploy the vendor directory as well."
        )
    job.log.write("Installing the dependencies with Composer.")
    with open_build(job, directory, is_source_writable=True) as build:
        cache = build.shown(build.cache)
        environment = {
            **registry_environment(),
            "COMPOSER_HOME": f"{cache}/composer",
            "COMPOSER_CACHE_DIR": f"{cache}/composer/cache",
            "COMPOSER_ALLOW_SUPERUSER": "1",
        }
        run_step(build, install_step(build, job.interpreter, os.path.realpath(composer)), environment)
    _check_result(job, directory)


def _check_result(job: BuildJob, directory: Path) -> None:
    """Hold what was installed to the limits of an archive: the size, and no links that lead outside.

    Raises:
        BuildFailed: It exceeds them.
    """
    size = 0
    root = os.path.realpath(directory)
    for entry in walk_tree(directory):
        size += entry.status.st_size
        if size > job.unpacked_max:
            raise BuildFailed(f"The code and its dependencies are larger than {job.unpacked_max} bytes.")
        if stat.S_ISLNK(entry.status.st_mode) and sys.platform == "linux":
            target = os.path.realpath(f"/proc/self/fd/{entry.parent}/{entry.name}")
            if target != root and not target.startswith(f"{root}/"):
                raise BuildFailed(f"The link {entry.name!r} in the dependencies leads outside the code.")
