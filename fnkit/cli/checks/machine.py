"""Checks of this machine: Python, uv, and the disk below fnkit's directories."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fnkit import __version__
from fnkit.cli.checks.model import Check
from fnkit.errors import FnkitError

_GIGABYTE: Final = 1024**3
_FREE_ADVISED: Final = 2 * _GIGABYTE
_FREE_NEEDED: Final = 200 * 1024**2
_UV_TIMEOUT: Final = 10


def check_machine() -> Iterator[Check]:
    """Yield the checks of this machine."""
    yield Check(
        name="fnkit",
        ok=True,
        detail=f"{__version__} with Python {platform.python_version()} ({sys.executable})",
    )
    yield _check_system()
    yield _check_uv()
    yield _check_cache()


def check_disk(name: str, directory: Path) -> Check:
    """Return the check of the space that is left for a directory, which need not exist yet."""
    existing = next((one for one in (directory, *directory.parents) if one.exists()), directory)
    try:
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Check(name=name, ok=False, detail=f"{existing}: {error.strerror}", is_needed=True)
    return Check(
        name=name,
        ok=free >= _FREE_ADVISED,
        detail=f"{free / _GIGABYTE:.1f} GiB free for {directory}",
        hint="Free some space: archives, environments and builds need a few hundred MB.",
        is_needed=free < _FREE_NEEDED,
    )


def _check_system() -> Check:
    name = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Check(
        name="system",
        ok=sys.platform == "linux",
        detail=name,
        hint="The local platform runs on Linux; on Windows, use WSL 2. Deploys to Scaleway work everywhere.",
    )


def _check_uv() -> Check:
    from fnkit.bundler.dependencies.uv import find_uv

    hint = "Install fnkit again: uv comes with it."
    try:
        program = find_uv()
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_UV_TIMEOUT, check=True
        )
    except (FnkitError, OSError, subprocess.SubprocessError) as error:
        return Check(name="uv", ok=False, detail=f"cannot be run: {error}", hint=hint, is_needed=True)
    return Check(name="uv", ok=True, detail=f"{done.stdout.strip().removeprefix('uv ')} ({program})")


def _check_cache() -> Check:
    from fnkit.deploy.user_cache import open_cache_directory

    try:
        directory = open_cache_directory(os.environ).archives.parent
    except FnkitError as error:
        return Check(name="cache", ok=False, detail=error.message, hint=error.hint, is_needed=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        hint = "Change its owner, or set FNKIT_CACHE to another directory."
        return Check(name="cache", ok=False, detail=f"{directory} is not writable", hint=hint, is_needed=True)
    return check_disk("cache", directory)
