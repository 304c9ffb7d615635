"""What preparing an environment takes, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.model import ProgressCallback
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec, Project
from fnkit.toolchains.resolution import Toolchain, Toolchains


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentCache:
    """Directories in the user's cache.

    Attributes:
        root: Where environments are kept.
        bundler: The cache of the bundler.
    """

    root: Path
    bundler: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRequest:
    """One function whose handler is to run on this machine.

    Attributes:
        cache: Where environments are kept.
        toolchains: The languages of this machine.
        report: Called at each step.
        allow_builds: Called before a declared build, or the build of a package, runs.
    """

    project: Project
    function: FunctionSpec
    cache: EnvironmentCache
    toolchains: Toolchains
    report: ProgressCallback
    allow_builds: AllowBuildsCallback

    @property
    def folder(self) -> Path:
        """The folder of the function's code in the project."""
        return self.project.root / self.function.root

    def toolchain(self) -> Toolchain:
        """Return what runs the function's runtime on this machine.

        Raises:
            PlatformError: ``no-toolchain``.
        """
        return self.toolchains.resolve(self.function.runtime)


def unwritable_cache_error(what: str, directory: Path, error: OSError) -> BundleError:
    """Return the error for a part of the cache that cannot be written."""
    return BundleError(
        f"{what} cannot be written to {directory}: {error.strerror}.",
        code="environment",
        hint="Free some space, or set FNKIT_CACHE to a directory that you can write to.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerEnvironment:
    """What runs the handler of a function on this machine.

    Attributes:
        language: The language of the function.
        root: The root of the function's code: the project's own files where nothing has to be made of them.
        python: The interpreter of the function's process: for Python the handler's own, with its packages.
        command: The interpreter of another language with its options, or a compiled program; empty for Python.
        is_server: Whether the program serves HTTP on ``$PORT``.
        warnings: Sentences for the user, such as that another version of the language is used.
        included: Directories outside of ``root`` that the handler can import, each with its name.
        entries: The directory with the handler's entry module, or ``None`` where it needs none.
    """

    language: str
    root: Path
    python: str
    command: tuple[str, ...] = ()
    is_server: bool = False
    warnings: tuple[str, ...] = ()
    entries: Path | None = None
    included: tuple[tuple[str, str], ...] = ()
