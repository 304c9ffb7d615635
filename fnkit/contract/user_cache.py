"""Where fnkit keeps what it can make again, for all projects and platforms of a user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def user_cache_directory(environ: Mapping[str, str]) -> Path:
    """Return ``$FNKIT_CACHE``, or ``fnkit`` in the user's cache directory (XDG, or the system's own convention).

    Raises:
        RuntimeError: The user has no home directory.
    """
    if explicit := environ.get("FNKIT_CACHE"):
        return Path(explicit).absolute()
    if os.name == "nt" and (local := environ.get("LOCALAPPDATA")):
        return Path(local) / "fnkit" / "cache"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fnkit"
