"""Virtual environments with packages from PyPI, created once and kept in the user's cache directory."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.measurement import BenchmarkSkipped

__all__ = ["create_environment"]


def create_environment(*packages: str) -> Path:
    """Return the ``bin`` directory of an environment with these packages, creating it if necessary.

    Args:
        packages: Requirements of the form ``name==version``.

    Raises:
        BenchmarkSkipped: The packages cannot be installed on this machine.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fnkit" / "benchmarks"
    folder = cache / "-".join([*(package.replace("==", "-") for package in packages), _TAG])
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkSkipped(
                f"{' and '.join(packages)} cannot be installed: {done.stderr.strip().splitlines()[-1]}"
            )
        ready.touch()
    return folder / "bin"


_TAG = sys.implementation.cache_tag or "python"
