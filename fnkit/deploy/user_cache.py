"""fnkit's directory in the user's cache directory: which part is for what, and how private files are written.

Local platforms keep compiled standard libraries beside these, in ``libraries``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fnkit.contract.user_cache import user_cache_directory
from fnkit.errors import FnkitError


def write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 atomically."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


class CacheDirectory:
    """fnkit's directory in the user's cache directory. It may be deleted at any time."""

    def __init__(self, root: Path) -> None:
        self.archives: Final = root / "archives"
        """Archives built by the bundler."""
        self.bundler: Final = root / "bundler"
        """Wheels, layers and other intermediate files of the bundler."""
        self.slices: Final = root / "slices"
        """Records of deployed slices by digest."""
        self.locks: Final = root / "locks"
        """Lock files that serialise deploys on this machine."""
        self.secrets: Final = root / "secrets"
        """Keyed hashes of verified secrets (mode 0700)."""
        self.environments: Final = root / "environments"
        """Environments in which handlers run on this machine."""
        self.dev: Final = root / "dev"
        """Data directories of the platforms of ``fnkit dev``, of which only the ports outlive a session."""
        self.toolchains: Final = root / "toolchains.json"
        """What the programs of this machine have said about themselves."""
        self._early_starts = root / "early-starts"

    def early_start_record(self, directory: Path, stage: str, function: str) -> Path:
        """Return the file with what a local invocation knew of a function the last time.

        Args:
            directory: The directory in which the project is looked for.
            stage: The stage.
            function: The name of the function.
        """
        key = "\0".join((str(directory.absolute()), stage, function))
        return self._early_starts / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def open_cache_directory(environ: Mapping[str, str]) -> CacheDirectory:
    """Return ``$FNKIT_CACHE``, or ``fnkit`` in the user's cache directory; create it with mode 0700.

    Raises:
        FnkitError: It cannot be created.
    """
    root = user_cache_directory(environ)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FnkitError(
            f"The cache directory {root} cannot be created: {error.strerror}.",
            code="cache-unusable",
            hint="Set FNKIT_CACHE to a directory that you can write to.",
        ) from error
    return CacheDirectory(root)
