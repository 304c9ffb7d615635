"""The user's cache directory: archives, wheels, records of deployed slices and of verified secrets.

Records of deployed slices let the next plan name the changed files, and let a failed deploy restore the previous
archive. Records of verified secrets avoid repeated hashing: the API returns an argon2id hash of each secret, and
checking one takes about 37 ms. Each distinct pair of hash and value is checked once, in threads, and recorded as a
keyed hash, from which neither can be recovered; a plan without changes checks none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fnkit.errors import FnkitError

__all__ = ["CacheDirectory", "open_cache_directory"]


@dataclass(frozen=True, slots=True)
class CacheDirectory:
    """fnkit's directory in the user's cache directory. It may be deleted at any time."""

    root: Path

    @property
    def archives(self) -> Path:
        """Archives built by the bundler."""
        return self.root / "archives"

    @property
    def bundler(self) -> Path:
        """Wheels, layers and other intermediate files of the bundler."""
        return self.root / "bundler"

    @property
    def slices(self) -> Path:
        """Records of deployed slices by digest."""
        return self.root / "slices"

    @property
    def locks(self) -> Path:
        """Lock files that serialise deploys on this machine."""
        return self.root / "locks"

    @property
    def secrets(self) -> Path:
        """Keyed hashes of verified secrets (mode 0700)."""
        return self.root / "secrets"


def open_cache_directory(environ: Mapping[str, str]) -> CacheDirectory:
    """Return ``$FNKIT_CACHE``, or ``fnkit`` in the user's cache directory; create it with mode 0700.

    Raises:
        FnkitError: It cannot be created.
    """
    root = _cache_root(environ)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FnkitError(
            f"The cache directory {root} cannot be created: {error.strerror}.",
            code="cache-unusable",
            hint="Set FNKIT_CACHE to a directory that you can write to.",
        ) from error
    return CacheDirectory(root)


def _cache_root(environ: Mapping[str, str]) -> Path:
    if explicit := environ.get("FNKIT_CACHE"):
        return Path(explicit).absolute()
    if os.name == "nt" and (local := environ.get("LOCALAPPDATA")):
        return Path(local) / "fnkit" / "cache"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fnkit"
