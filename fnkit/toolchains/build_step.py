"""What compiling a function takes, as values: the platform runs it in a sandbox, ``fnkit invoke`` as it is.

A toolchain writes generated sources into ``BuildDirectories.generated`` and returns a ``ProgramBuild``. It runs
nothing of the function.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Protocol, TypeAlias

MAIN_WARNING: Final = (
    "{what} It is built as it is, and runs as a program that serves HTTP on $PORT. The real platform's builder was "
    "seen to refuse this."
)
_DIGEST_DIGITS: Final = 16
_MAX_SOURCE_BYTES: Final = 4 * 1024 * 1024

Mirror: TypeAlias = tuple[Path, Path, Sequence[str]]
"""A directory, its copy in the cache, and names in the copy that stay if the directory lacks them."""


class InvalidSource(Exception):
    """The code of a function cannot be compiled; the message says why."""


class BuildDirectories(Protocol):
    """The directories of one build."""

    @property
    def source(self) -> Path:
        """The code of the function."""

    @property
    def generated(self) -> Path:
        """A new directory for sources that are written for the build."""

    @property
    def cache(self) -> Path:
        """What the next build of the function finds again."""

    def shown(self, path: Path) -> str:
        """Return the path under which a tool finds a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """One run of a build tool.

    Attributes:
        arguments: The program, as an absolute path, and its arguments.
        directory: The working directory.
        environment: The variables that it needs besides those with which it reaches registries.
        readable: The directories of the toolchain.
        mirrors: What is copied before it starts. Files that are the same keep their times.
        hints: Texts in its output, and what is said about each.
    """

    arguments: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    readable: tuple[str, ...]
    mirrors: tuple[Mirror, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramBuild:
    """How the program of a function is built.

    Attributes:
        step: The run of the compiler.
        program: The path of the program below the cache.
        stale: Directories in the cache that no build needs any more.
        is_server: Whether it serves HTTP on ``$PORT``, instead of answering on the socket of its instance.
        notes: Sentences about what is built.
    """

    step: BuildStep
    program: str
    is_server: bool
    stale: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledHandler:
    """A handler such as ``Name`` or ``folder/Name``."""

    folder: PurePosixPath
    name: str


def parse_compiled_handler(text: str, pattern: str, described: str) -> CompiledHandler:
    """Return the handler of a function.

    Args:
        text: The handler.
        pattern: A regular expression for its name.
        described: What the name must be.

    Raises:
        InvalidSource: It has another form.
    """
    folder, _, name = text.rpartition("/")
    path = PurePosixPath(folder)
    if not re.fullmatch(pattern, name, re.ASCII) or path.is_absolute() or ".." in path.parts:
        raise InvalidSource(f"The handler {text!r} is not valid: it must be {described}, or folder/{described}.")
    return CompiledHandler(path, name)


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


@dataclass(frozen=True, slots=True)
class KeptVersions:
    """Files that hold versions of dependencies, and which tools complete.

    Attributes:
        generated: The directory among the generated sources.
        copy: The directory in the cache that has to become its copy.
        stale: Copies in the cache of earlier versions of the function's files.
    """

    generated: Path
    copy: Path
    stale: tuple[Path, ...]


def keep_versions(build: BuildDirectories, name: str, files: Mapping[str, str]) -> KeptVersions:
    """Prepare files that hold versions of dependencies, and which tools complete.

    What a tool has added stays for later builds, until the function's own files change.

    Args:
        build: The directories of the build.
        name: The name of the directory that contains them.
        files: The content of each in the function, empty if it is missing.
    """
    digest = hashlib.sha256("\0".join(files.values()).encode()).hexdigest()[:_DIGEST_DIGITS]
    copy = build.cache / f"{name}-{digest}"
    generated = build.generated / name
    generated.mkdir()
    for file, text in files.items():
        if text and not os.path.lexists(copy / file):
            (generated / file).write_text(text)
    stale = tuple(other for other in build.cache.glob(f"{name}-*") if other != copy)
    return KeptVersions(generated, copy, stale)
