"""Archives of ten functions that share pandas, against ``zip -r`` over the same files, for one archive."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Comparison, Skipped, in_turns, seconds

__all__ = ["run"]

FUNCTIONS = 10


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Wheels are there in both cases: what is timed is making the archive."""
    if shutil.which("zip") is None:
        raise Skipped("zip is not installed")
    from fnkit.bundler import bundle_project
    from fnkit.deploy.loading import load_project

    source = folder / "project"
    _write(source)
    project = load_project(source)
    cache, out = folder / "cache", folder / "out"

    def bundle() -> None:
        shutil.rmtree(out, ignore_errors=True)
        bundle_project(project, {}, out=out, cache=cache, kind="scaleway")

    bundle()  # resolves, locks and fetches, once
    unpacked = _unpack(out, folder / "unpacked")

    def from_layer() -> float:
        return seconds(bundle)

    def from_wheels() -> float:
        shutil.rmtree(cache / "layers")
        return seconds(bundle)

    def zipped() -> float:
        target = folder / "reference.zip"
        target.unlink(missing_ok=True)
        command = ["zip", "-q", "-r", str(target), "."]
        return seconds(lambda: subprocess.run(command, cwd=unpacked, check=True))

    what = f"bundle of {FUNCTIONS} functions sharing pandas"
    return [
        Comparison(what, "zip -r, once", *in_turns(rounds, from_layer, zipped)),
        Comparison(f"{what}, layer made anew", "zip -r, once", *in_turns(rounds, from_wheels, zipped)),
    ]


def _write(source: Path) -> None:
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
