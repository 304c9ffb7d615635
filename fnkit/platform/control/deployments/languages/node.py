"""Builds functions in Node: the archive is the deployment, and nothing is installed, as on the real platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from fnkit.platform.control.deployments.archive import make_writable, unpack_code
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob

_EXTENSIONS: Final = (".js", ".mjs", ".cjs", "/index.js")
_MAX_BYTES: Final = 4 * 1024 * 1024


def build_node(job: BuildJob, directory: Path) -> str:
    """Unpack the archive and check what can be checked without running code.

    Raises:
        BuildFailed: The archive is invalid, or ``package.json`` is, so that Node would load nothing.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    unpack_code(job, directory)
    _check_package(directory / "package.json")
    file = job.handler.rpartition(".")[0]
    names = [f"{file}{extension}" for extension in _EXTENSIONS]
    if not any((directory / name).is_file() for name in names):
        job.log.write(
            f"The handler {job.handler} needs {names[0]}, which is not in the archive; "
            "requests will be answered with 500."
        )
    make_writable(job, directory)
    return ""


def _check_package(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        return
    if path.stat().st_size > _MAX_BYTES:
        raise BuildFailed(f"package.json is larger than {_MAX_BYTES} bytes.")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BuildFailed(f"package.json is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise BuildFailed("package.json is not valid: it must be an object.")
