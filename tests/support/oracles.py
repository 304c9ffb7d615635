"""Other people's clients and recorded traffic, where they lie beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["conformance_folder"]

_REPOSITORY = Path(__file__).parents[2]


def conformance_folder() -> Path:
    """Return the folder of recordings and drivers: ``$FNKIT_CONFORMANCE``, else the one beside the repository.

    It is no part of the repository, so tests that need it are skipped, visibly, where it is missing.
    """
    folder = Path(os.environ.get("FNKIT_CONFORMANCE") or _REPOSITORY.parent / "shared" / "conformance")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (set FNKIT_CONFORMANCE)")
    return folder
