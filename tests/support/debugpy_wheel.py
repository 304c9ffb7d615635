"""The wheel of the installed debugpy, so that tests can install it without a network."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

from tests.support.package_index import make_wheel


def write_debugpy_wheel(folder: Path) -> Path:
    """Write the wheel. Other versions of Python can install it too: they do without its compiled parts."""
    installed = distribution("debugpy")
    files = {
        str(file): Path(str(file.locate())).read_bytes()
        for file in installed.files or ()
        if file.parts[0] == "debugpy" and file.suffix != ".pyc"
    }
    return make_wheel(folder, "debugpy", installed.version, files=files)
