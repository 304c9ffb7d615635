"""Where the kit keeps what it can make again: archives, wheels, verified hashes, slice listings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.errors import FnkitError

__all__ = ["CacheFolder", "cache_folder"]


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """The user's cache folder for fnkit. Deleting it costs time and nothing else."""

    root: Path

    @property
    def archives(self) -> Path:
        """Bundles."""
        return self.root / "archives"

    @property
    def bundler(self) -> Path:
        """Wheels, layers and what else bundling reuses."""
        return self.root / "bundler"

    @property
    def slices(self) -> Path:
        """What was in a deployed slice, by its digest, so that a change can be explained."""
        return self.root / "slices"

    @property
    def locks(self) -> Path:
        """Locks between deploys on this machine."""
        return self.root / "locks"

    @property
    def secrets(self) -> Path:
        """Verified secret hashes, keyed (0700)."""
        return self.root / "secrets"


def cache_folder(environ: Mapping[str, str]) -> CacheFolder:
    """Return ``$FNKIT_CACHE``, else the user's cache folder's ``fnkit``, made 0700.

    Raises:
        FnkitError: it cannot be made.
    """
    root = _root(environ)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FnkitError(
            f"The cache folder {root} cannot be made: {error.strerror}.",
            code="cache-unusable",
            hint="Set FNKIT_CACHE to a folder that you can write to.",
        ) from error
    return CacheFolder(root)


def _root(environ: Mapping[str, str]) -> Path:
    if explicit := environ.get("FNKIT_CACHE"):
        return Path(explicit).absolute()
    if os.name == "nt" and (local := environ.get("LOCALAPPDATA")):
        return Path(local) / "fnkit" / "cache"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fnkit"
