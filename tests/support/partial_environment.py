"""A virtual environment with links to the packages of the current one, except for some distributions."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from tests.support.command import Completed
from tests.support.source_tree import REPOSITORY

__all__ = ["PartialEnvironment", "environment_without"]


@dataclass(frozen=True, slots=True)
class PartialEnvironment:
    """``fnkit`` of the environment in ``folder``, with its platform in ``home``."""

    folder: Path
    home: Path

    def __call__(self, *arguments: str, cwd: Path | None = None) -> Completed:
        """Run a command and return its result."""
        programs = self.folder / "bin"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environment = {**kept, "PATH": f"{programs}:/usr/bin:/bin", "FNKIT_HOME": str(self.home)}
        done = subprocess.run(
            [programs / "fnkit", *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Completed(arguments, done.returncode, done.stdout, done.stderr)


def environment_without(distributions: Collection[str], folder: Path, home: Path) -> PartialEnvironment:
    """Create the environment in ``folder``; ``distributions`` are names at PyPI."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages, here = folder / "packages", Path(sysconfig.get_path("purelib"))
    packages.mkdir()
    missing = {part for name in distributions for part in _top_level(name)}
    for one in here.iterdir():
        if one.suffix != ".pth" and one.name not in missing:
            (packages / one.name).symlink_to(one)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "here.pth").write_text(f"{packages}\n{REPOSITORY}\n")
    command = folder / "bin" / "fnkit"
    command.write_text(
        f"#!{folder}/bin/{Path(sys.executable).name}\nimport sys\nfrom fnkit.cli import main\nsys.exit(main())\n"
    )
    command.chmod(0o755)
    return PartialEnvironment(folder, home)


def _top_level(name: str) -> set[str]:
    """Return the top-level entries of a distribution in site-packages."""
    return {file.parts[0] for file in distribution(name).files or () if file.parts[0] != ".."}
