"""The values that bundling returns and reports: bundles, slices, dependencies and progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from fnkit.bundler.files.content import ContentByPath


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleProgress:
    """One step of bundling. Stages without work are not reported.

    Attributes:
        stage: ``lock`` resolves requirements, ``fetch`` downloads wheels, ``install`` runs a package manager,
            ``build`` builds a package from source or runs a command of the project, ``layer`` packs dependencies,
            ``archive`` writes the zip file.
        runtime: Runtime that the step belongs to.
        detail: Name of the package, backend or file.
        done: Files completed, for ``fetch``.
        total: Files in all, for ``fetch`` and ``layer``; 0 for other stages.
    """

    stage: Literal["lock", "fetch", "install", "build", "layer", "archive"]
    runtime: str
    detail: str = ""
    done: int = 0
    total: int = 0

    @property
    def text(self) -> str:
        """The step in one line: ``fetch 3/12 requests``."""
        count = f" {self.done}/{self.total}" if self.total else ""
        return f"{self.stage}{count} {self.detail}".rstrip()


ProgressCallback = Callable[[BundleProgress], None]


def ignore_progress(_progress: BundleProgress) -> None:
    """Discard a progress event."""


class Dependency(msgspec.Struct, frozen=True, array_like=True):
    """One vendored distribution; ``size`` is its share of the archive in bytes."""

    name: str
    version: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The part of an archive that one function's behaviour depends on.

    Attributes:
        digest: 32 lower-case hex digits over runtime, handler, dependencies and ``files``.
        files: Pairs of path in the archive and SHA-256 hex digest, sorted by path, of all files in the slice.
        dependencies: ``name==version`` of every package in the archive.
        whole_project_reason: Why the slice is the whole project; ``None`` when the reachable files are known.
    """

    function: str
    digest: str
    files: tuple[tuple[str, str], ...]
    dependencies: tuple[str, ...]
    whole_project_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One archive on disk and a description of its content.

    Attributes:
        path: The zip file. With ``needs_build``, it does not exist.
        target: Wheel platform, for example ``musllinux_1_2_x86_64``.
        digest: SHA-256 hex digest of the content (names, modes, bytes), not of the zip file itself.
        size: Bytes of the zip file.
        unpacked_size: Bytes after extraction.
        dependencies: Sorted by name.
        notes: Sentences for the user, for example about a downgraded version or a whole-project slice.
        needs_build: A build that has not run makes some of its files, so it was planned and not written. Its digest
            and slices are those that it will have; its sizes are 0.
        contents: The files in it except those of the layer of dependencies; empty with ``needs_build``.
        layer_key: Identifies the dependencies that are in it.
        groups: The dependency groups of its functions, sorted; Python only.
    """

    path: Path
    runtime: str
    target: str
    digest: str
    size: int
    unpacked_size: int
    slices: tuple[Slice, ...]
    dependencies: tuple[Dependency, ...]
    notes: tuple[str, ...] = ()
    needs_build: bool = False
    contents: ContentByPath = field(default_factory=dict)
    layer_key: str = ""
    groups: tuple[str, ...] = ()

    def slice_of(self, function: str) -> Slice:
        """Return the slice of a function.

        Raises:
            KeyError: The function is not in this bundle.
        """
        for one in self.slices:
            if one.function == function:
                return one
        raise KeyError(function)
