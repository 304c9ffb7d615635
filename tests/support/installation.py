"""fnkit installed into clean environments, from its wheel or editable, out of the repository's reach."""

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
    """One environment with the ``fnkit`` command in it."""

    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    def run(self, *arguments: str, cwd: Path) -> dict[str, object]:
        """Run ``fnkit … --json`` and return its answer; a failure shows everything it said."""
        command = [str(self.python.with_name("fnkit")), *arguments, "--json"]
        done = subprocess.run(command, cwd=cwd, env=scrubbed(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


def scrubbed() -> dict[str, str]:
    """The environment without anything that points at this repository or its environment."""
    leading_here = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in leading_here}


def build_wheel(folder: Path) -> Path:
    """Build fnkit's wheel into the folder, and return it."""
    _uv("build", "--wheel", "--quiet", "--out-dir", str(folder), str(REPOSITORY))
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder: Path, *what: str) -> Installation:
    """Make an environment in the folder and install into it (``fnkit.whl``, or ``-e``, the repository)."""
    base = Path(sysconfig.get_config_var("BINDIR")) / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    _uv("venv", "--quiet", "--python", str(base if base.exists() else sys.executable), str(folder))
    made = Installation(folder)
    _uv("pip", "install", "--quiet", "--python", str(made.python), *what)
    return made


def _uv(*arguments: str) -> None:
    done = subprocess.run([str(UV), *arguments], env=scrubbed(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"uv {arguments[0]}: {done.stderr}"
