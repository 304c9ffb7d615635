"""Compares archiving ten functions that share pandas with ``zip -r`` of the same files into one archive."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measurement import BenchmarkSkipped, Comparison, elapsed_seconds, measure_alternately

__all__ = ["run"]

FUNCTIONS = 10


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure creating the archive; wheels are downloaded before."""
    if shutil.which("zip") is None:
        raise BenchmarkSkipped("zip is not installed")
    from fnkit.bundler.bundle import bundle_project
    from fnkit.deploy.loading import load_project

    source = folder / "project"
    _write_project(source)
    project = load_project(source)
    cache, out = folder / "cache", folder / "out"

    def bundle() -> None:
        shutil.rmtree(out, ignore_errors=True)
        bundle_project(project, {}, out=out, cache=cache, kind="scaleway")

    bundle()  # resolves, locks and downloads, once
    unpacked = _unpack(out, folder / "unpacked")

    def from_layer() -> float:
        return elapsed_seconds(bundle)

    def from_wheels() -> float:
        shutil.rmtree(cache / "layers")
        return elapsed_seconds(bundle)

    def zip_once() -> float:
        target = folder / "reference.zip"
        target.unlink(missing_ok=True)
        command = ["zip", "-q", "-r", str(target), "."]
        return elapsed_seconds(lambda: subprocess.run(command, cwd=unpacked, check=True))

    what = f"bundle of {FUNCTIONS} functions sharing pandas"
    return [
        Comparison(what, "zip -r, once", *measure_alternately(rounds, from_layer, zip_once)),
        Comparison(f"{what}, layer rebuilt", "zip -r, once", *measure_alternately(rounds, from_wheels, zip_once)),
    ]


def _write_project(source: Path) -> None:
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[project]\nname = "shared"\nversion = "0"\ndependencies = ["pandas"]\n\n[tool.fnkit]\nname = "shared"\n',
        encoding="utf-8",
    )
    for number in range(FUNCTIONS):
        (source / f"report_{number}.py").write_text(
            "import pandas\nfrom fnkit import function\n\n\n@function\n"
            f"def report_{number}(event, context):\n    return pandas.Series([{number}]).to_json()\n",
            encoding="utf-8",
        )


def _unpack(out: Path, unpacked: Path) -> Path:
    (archive,) = out.glob("*.zip")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(archive), str(unpacked)], check=True)
    return unpacked
