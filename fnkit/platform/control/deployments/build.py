"""Builds the directory of a deployment, whatever its language: in a temporary directory, then renamed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from fnkit.contract.runtimes import find_runtime
from fnkit.platform.control.deployments.build_job import STEPS, BuildFailed, BuildJob
from fnkit.platform.control.deployments.languages.go import build_go
from fnkit.platform.control.deployments.languages.node import build_node
from fnkit.platform.control.deployments.languages.php import build_php
from fnkit.platform.control.deployments.languages.python import build_python
from fnkit.platform.control.deployments.languages.rust import build_rust
from fnkit.platform.directory_tree import remove_tree

LanguageBuilder: TypeAlias = Callable[[BuildJob, Path], str]
"""Fills an empty directory, and returns the key of the dependencies, empty if they are not kept."""

_BUILDERS: Final[dict[str, LanguageBuilder]] = {
    "Python": build_python,
    "Node": build_node,
    "PHP": build_php,
    "Go": build_go,
    "Rust": build_rust,
}

LANGUAGES_WITH_COMPILED_HANDLER: Final = frozenset({"Go", "Rust"})
"""Languages whose build depends on the name of the handler, which is compiled into the program."""


def build(job: BuildJob) -> str:
    """Create ``job.target``, or leave nothing behind. Blocks; call it in a thread.

    Returns:
        The key of the dependencies: see ``Deployment``.

    Raises:
        BuildFailed: The archive or the code is invalid, the build exceeds a limit, or the platform does not run the
            language.
        BuildStopped: The build was stopped.
        OSError: A file could not be written.
    """
    job = job.begin()
    runtime = find_runtime(job.runtime)
    builder = _BUILDERS.get(runtime.language) if runtime else None
    if builder is None:
        text = f"the runtime {job.runtime} is not available on this platform"
        raise BuildFailed(f"This platform does not run {job.runtime}.", message=text)
    temporary = job.target.with_name(f".{job.target.name}.building")
    remove_tree(temporary)
    temporary.mkdir(mode=0o700, parents=True)
    try:
        key = builder(job, temporary)
        job.progress(STEPS[2])
        job.check()
        remove_tree(job.target)
        temporary.rename(job.target)
    except BaseException:
        remove_tree(temporary)
        raise
    return key
