"""What the builders of compiled languages share: where their program goes, and which code the handler is in."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob
from fnkit.platform.control.deployments.build_tool import SandboxedBuild
from fnkit.platform.directory_tree import remove_tree
from fnkit.worker.built_program import BUILT_PROGRAM, HTTP_SERVER

MAIN_WARNING: Final = (
    "{what} It is built as it is, and runs as a program that serves HTTP on $PORT. The real platform's builder was "
    "seen to refuse this."
)
_DIGEST_DIGITS: Final = 16
_MAX_SOURCE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler such as ``Name`` or ``folder/Name``."""

    folder: PurePosixPath
    name: str


def parse_handler(job: BuildJob, pattern: str, described: str) -> Handler:
    """Return the handler of a job.

    Args:
        job: The build.
        pattern: A regular expression for its name.
        described: What the name must be.

    Raises:
        BuildFailed: It has another form.
    """
    folder, _, name = job.handler.rpartition("/")
    path = PurePosixPath(folder)
    if not re.fullmatch(pattern, name, re.ASCII) or path.is_absolute() or ".." in path.parts:
        raise BuildFailed(
            f"The handler {job.handler!r} is not valid: it must be {described}, or folder/{described}."
        )
    return Handler(path, name)


def read_source(path: Path) -> str:
    """Return the text of a file of the function; empty if it is none, or too large.

    Links in a deployment stay inside of it.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MAX_SOURCE_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def keep_versions(build: SandboxedBuild, name: str, files: Mapping[str, str]) -> tuple[Path, Path]:
    """Prepare files that hold versions of dependencies, and which tools complete.

    What a tool has added stays for later builds, until the function's own files change.

    Args:
        build: The build.
        name: The name of the directory that contains them.
        files: The content of each in the function, empty if it is missing.

    Returns:
        The directory among the generated sources, and the directory in the cache that has to become its copy.
    """
    digest = hashlib.sha256("\0".join(files.values()).encode()).hexdigest()[:_DIGEST_DIGITS]
    copy = build.cache / f"{name}-{digest}"
    for other in build.cache.glob(f"{name}-*"):
        if other != copy:
            remove_tree(other)
    generated = build.generated / name
    generated.mkdir()
    for file, text in files.items():
        if text and not os.path.lexists(copy / file):
            (generated / file).write_text(text)
    return generated, copy


def place_program(build: SandboxedBuild, directory: Path, path: str, *, is_server: bool) -> None:
    """Copy a program from the cache to its place in the deployment.

    Raises:
        BuildFailed: There is none, or it is too large.
        OSError: It cannot be written.
    """
    target = directory / BUILT_PROGRAM
    remove_tree(target.parent)
    build.take_program(path, target)
    if is_server:
        (directory / HTTP_SERVER).touch(mode=0o644)
