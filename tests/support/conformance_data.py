"""Recorded traffic of the Scaleway API and third-party clients, which are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["conformance_directory"]

_REPOSITORY = Path(__file__).parents[2]
_CONFIGURED = os.environ.get("FNKIT_CONFORMANCE")  # read now: tests run without the variables of the developer


def conformance_directory() -> Path:
    """Return ``$FNKIT_CONFORMANCE``, or the directory beside the repository; skip the test if it does not exist."""
    folder = Path(_CONFIGURED or _REPOSITORY.parent / "shared" / "conformance")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (set FNKIT_CONFORMANCE)")
    return folder
