"""Packages of peers from PyPI and npm, installed once and kept in the user's cache directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.measurement import BenchmarkSkipped

__all__ = ["create_environment", "install_node_package"]


def create_environment(*packages: str) -> Path:
    """Return the ``bin`` directory of an environment with these packages, creating it if necessary.

    Args:
        packages: Requirements of the form ``name==version``.

    Raises:
        BenchmarkSkipped: The packages cannot be installed on this machine.
    """
    folder = _cache_folder("-".join([*(package.replace("==", "-") for package in packages), _TAG]))
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, *packages], folder, " and ".join(packages), reason=-1)
        ready.touch()
    return folder / "bin"


def install_node_package(name: str, version: str) -> Path:
    """Return the ``node_modules`` directory with a package from npm, installing it if necessary.

    Raises:
        BenchmarkSkipped: The package cannot be installed on this machine.
    """
    if shutil.which("npm") is None:
        raise BenchmarkSkipped("npm is not on PATH")
    package = f"{name}@{version}"
    folder = _cache_folder(package.strip("@").replace("/", "-").replace("@", "-"))
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        npm = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
        _install([*npm, package], folder, package, reason=0)
        ready.touch()
    return folder / "node_modules"


def _cache_folder(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fnkit" / "benchmarks" / name


def _install(command: list[str], folder: Path, what: str, *, reason: int) -> None:
    """Run an installer; ``reason`` is the index of the line of its output that says why it failed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise BenchmarkSkipped(f"{what} cannot be installed: {lines[reason]}")


_TAG = sys.implementation.cache_tag or "python"
