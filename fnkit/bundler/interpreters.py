"""Finds CPython interpreters of a given minor version on this machine. Never downloads one."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_interpreter"]

_VERSION_SCRIPT = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
_PROBE_TIMEOUT_SECONDS = 10


@functools.cache
def find_interpreter(python: tuple[int, int]) -> Path | None:
    """Return a CPython of that minor version, or ``None``.

    Search order: the running interpreter, ``pythonX.Y`` on PATH, pyenv's versions, uv's. Each candidate is run to
    check its version, because pyenv's shims exist for versions that are not active. The result is cached for the
    process.
    """
    if sys.implementation.name == "cpython" and sys.version_info[:2] == python:
        return Path(sys.executable)
    for candidate in _candidate_interpreters(python):
        if _has_version(candidate, python):
            return candidate
    return None


def _candidate_interpreters(python: tuple[int, int]) -> Iterator[Path]:
    name = f"python{python[0]}.{python[1]}"
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for folder, pattern in (
        (pyenv / "versions", f"{python[0]}.{python[1]}*"),
        (uv, f"cpython-{python[0]}.{python[1]}.*"),
    ):
        for version in sorted(folder.glob(pattern), reverse=True):
            for relative in (f"bin/{name}", "python.exe"):
                if (version / relative).is_file():
                    yield version / relative


def _has_version(candidate: Path, python: tuple[int, int]) -> bool:
    try:
        result = subprocess.run(
            [os.fspath(candidate), "-I", "-S", "-c", _VERSION_SCRIPT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return result.stdout.split() == ["cpython", str(python[0]), str(python[1])]
