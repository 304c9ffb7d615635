"""Installs fnkit into new virtual environments, from its wheel or as an editable install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.support.source_tree import REPOSITORY

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment with the ``fnkit`` command."""

    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    def run(self, *arguments: str, cwd: Path) -> dict[str, object]:
        """Run ``fnkit … --json`` and return the JSON object; fail with the whole output."""
        command = [str(self.python.with_name("fnkit")), *arguments, "--json"]
        done = subprocess.run(
            command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that lead to this repository or its environment."""
    leading_here = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in leading_here}


def build_wheel(folder: Path, source: Path = REPOSITORY) -> Path:
    """Build fnkit's wheel into the folder, and return it."""
    _uv("build", "--wheel", "--quiet", "--out-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder: Path, *what: str) -> Installation:
    """Create a virtual environment and install packages (``fnkit.whl``, or ``-e`` and the repository)."""
    base = Path(sysconfig.get_config_var("BINDIR")) / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    _uv("venv", "--quiet", "--python", str(base if base.exists() else sys.executable), str(folder))
    made = Installation(folder)
    _uv("pip", "install", "--quiet", "--python", str(made.python), *what)
    return made


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [str(UV), *arguments], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"uv {arguments[0]}: {done.stderr}"
