"""What bundling gives: one archive per runtime and lock, and a digest per function (decision 2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Bundle", "Dependency", "Slice"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """One vendored distribution; ``size`` is what it takes in the archive, in bytes."""

    name: str
    version: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one function's answer depends on.

    digest: 32 lower-case hex digits over runtime, handler, dependencies and ``files``.
    files: (path in the archive, sha256 hex) sorted by path, for every file the function reaches.
    whole: why the slice is the whole project, or ``None`` when its reach is known.
    """

    function: str
    digest: str
    files: tuple[tuple[str, str], ...]
    dependencies: tuple[str, ...]
    whole: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One archive on disk and what is in it.

    digest: sha256 hex over the content (names, modes, bytes), not over the zip's own bytes.
    size, unpacked_size: bytes. target: ``musllinux_1_2_x86_64`` and the like. dependencies: sorted by name.
    notes: what a person should know of this archive (a downgraded version, a whole-project slice), whole sentences.
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

    def slice_of(self, function: str) -> Slice:
        """Return the slice of a function in this bundle; ``KeyError`` when it is not in it."""
        for one in self.slices:
            if one.function == function:
                return one
        raise KeyError(function)
