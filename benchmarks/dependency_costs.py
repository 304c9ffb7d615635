"""Measures the installed size and the import time of each dependency: ``python -m benchmarks.dependency_costs``.

It installs fnkit into a new environment, sums the file sizes of every distribution, and imports each of them in
five new interpreters (median of ``-X importtime`` after ``site``). It prints the table of ``docs/dependencies.md``.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5
REPOSITORY = Path(__file__).resolve().parent.parent

MODULES = {
    "argon2-cffi": "argon2",
    "click": "click",
    "cronsim": "cronsim",
    "cryptography": "cryptography.hazmat.primitives.ciphers.aead",
    "fnkit-deploy": "fnkit",
    "regex": "regex",
    "httptools": "httptools",
    "jinja2": "jinja2",
    "msgspec": "msgspec",
    "packaging": "packaging.markers",
    "pathspec": "pathspec",
    "prometheus-client": "prometheus_client.exposition",
    "pyjwt": "jwt",
    "pyyaml": "yaml",
    "requests": "requests",
    "rich": "rich.console",
    "starlette": "starlette.applications",
    "urllib3": "urllib3",
    "uvicorn": "uvicorn",
    "uvloop": "uvloop",
    "wsproto": "wsproto",
}
"""The module of each distribution that fnkit imports. uv and pip-tools are executed, not imported."""

SIZES = """
import importlib.metadata, json
def size(distribution):
    paths = [file.locate() for file in distribution.files or []]
    return sum(path.stat().st_size for path in paths if path.exists())
print(json.dumps({d.metadata["Name"].lower(): [d.version, size(d)] for d in importlib.metadata.distributions()}))
"""


def main() -> int:
    """Measure, print the table and return 0."""
    with tempfile.TemporaryDirectory() as folder:
        python = _fresh_environment(Path(folder) / "env")
        sizes = json.loads(_output(python, "-I", "-c", SIZES))
        print("| distribution | version | installed | import |")
        print("|---|---|---|---|")
        for name, (version, size) in sorted(sizes.items()):
            cost = f"{_import_milliseconds(python, MODULES[name]):.0f} ms" if name in MODULES else "–"
            print(f"| {name} | {version} | {size / 1e6:.1f} MB | {cost} |")
        print(f"| all | | {sum(size for _, size in sizes.values()) / 1e6:.0f} MB | |")
    return 0


def _fresh_environment(folder: Path) -> str:
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(folder / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, str(REPOSITORY)], check=True)
    return python


def _import_milliseconds(python: str, module: str) -> float:
    return statistics.median(_import_once(python, module) for _ in range(ROUNDS))


def _import_once(python: str, module: str) -> float:
    """Return the milliseconds of all imports after ``site``, which is the last one of the interpreter's start."""
    report = subprocess.run(
        [python, "-I", "-X", "importtime", "-c", f"import {module}"], capture_output=True, text=True, check=True
    ).stderr
    rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", report)
    names = [name for _, name in rows]
    return sum(int(own) for own, _ in rows[names.index("site") + 1 :]) / 1000


def _output(python: str, *arguments: str) -> str:
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
